//! What a guest needs that the machine may not have.

use super::entry::{find_group, find_user};
use super::program::{find, workdir};
use crate::config::GuestConfig;
use crate::config::guest::OutputConfig;
use std::path::Path;

/// What a guest lacks, for people: its program, its directory, its user, and what else it names.
#[must_use]
pub fn lacks(guest: &GuestConfig) -> Vec<String> {
    let Ok(directory) = workdir(guest) else { return vec!["the directory of the router is gone".into()] };
    let mut lacks = Vec::new();
    if directory.is_dir() {
        lacks.extend(find(guest).err());
    } else {
        lacks.push(format!("its directory {} is not there", directory.display()));
    }
    lacks.extend(guest.user.as_deref().and_then(|user| find_user(user).err()));
    lacks.extend(guest.group.as_deref().and_then(|group| find_group(group).err()));
    for watched in guest.watch.iter().filter(|watched| !directory.join(watched).is_dir()) {
        lacks.push(format!("{}, which it watches, is no directory", watched.display()));
    }
    for output in [&guest.stdout, &guest.stderr] {
        let OutputConfig::File(file) = output else { continue };
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !directory.join(parent).is_dir() {
            lacks.push(format!("there is no directory for {}", file.display()));
        }
    }
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let there = |number: &usize| cores.iter().any(|core| core.id == *number);
    if !guest.cpu_affinity.is_empty() && !guest.cpu_affinity.iter().any(there) {
        lacks.push(format!("none of the cores {:?} is there", guest.cpu_affinity));
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told() {
        let mut guest = GuestConfig::new("a", "sh");
        assert_eq!(lacks(&guest), Vec::<String>::new());
        guest.user = Some("no-such-user".into());
        guest.group = Some("no-such-group".into());
        guest.watch = vec!["/no/such/place".into(), "/".into()];
        guest.stdout = OutputConfig::File("/no/such/place/log".into());
        guest.stderr = OutputConfig::File("log".into());
        guest.cpu_affinity = vec![1023];
        let said = lacks(&guest);
        let begin =
            ["there is no user", "there is no group", "/no/such/place, which", "there is no directory", "none of"];
        assert!(
            said.len() == begin.len() && said.iter().zip(begin).all(|(text, begin)| text.starts_with(begin)),
            "{said:?}"
        );
        let nowhere = GuestConfig { workdir: "/no/such/place".into(), ..GuestConfig::new("a", "sh") };
        assert_eq!(lacks(&nowhere), ["its directory /no/such/place is not there"]);
    }
}
