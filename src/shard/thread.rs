//! The thread of a shard: one pinned OS thread with a single-threaded tokio runtime.

use super::command::Command;
use super::mesh::{Mesh, Parcel};
use crate::router::{ShardIndex, ShardMsg};
use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::future::Future;
use std::io;
use std::sync::{Arc, Once};
use std::thread::{Builder, JoinHandle};
use tokio::runtime::LocalOptions;

/// The names of shard threads begin with this; a panic in one of them ends the process.
const THREAD_NAME: &str = "shard-";

/// Orders that may wait for one shard; every waiting connection holds a file descriptor.
const COMMANDS_MAX: usize = 4096;

/// Where others leave orders for a shard.
#[derive(Debug)]
pub struct Door<T = ShardMsg> {
    commands: Sender<Command>,
    mesh: Arc<Mesh<T>>,
    index: ShardIndex,
}

impl<T: Parcel> Door<T> {
    /// Leaves an order and wakes the shard if it sleeps.
    ///
    /// # Errors
    ///
    /// Gives the order back if too many wait already, or if the shard has ended.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) | TrySendError::Disconnected(command) => command,
        })?;
        self.mesh.bell(usize::from(self.index)).ring();
        Ok(())
    }
}

/// What a shard's thread starts with.
#[derive(Debug)]
pub struct Seat<T = ShardMsg> {
    /// Which shard this is.
    pub index: ShardIndex,
    /// The core to run on, or none to run where the operating system likes.
    pub core: Option<CoreId>,
    /// The queues between shards.
    pub mesh: Arc<Mesh<T>>,
    /// Orders from the rest of the process.
    pub commands: Receiver<Command>,
}

impl<T: Parcel> Seat<T> {
    /// The seat of a shard and the door to it.
    #[must_use]
    pub fn new(index: ShardIndex, core: Option<CoreId>, mesh: Arc<Mesh<T>>) -> (Seat<T>, Door<T>) {
        let (sender, commands) = bounded(COMMANDS_MAX);
        let door = Door { commands: sender, mesh: mesh.clone(), index };
        (Seat { index, core, mesh, commands }, door)
    }

    /// Starts the thread. `root` makes the shard's root future, on the thread itself; when the future ends, so does
    /// the thread. Returns when the runtime is up.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread, or nothing to wait for sockets with.
    pub fn start<M, F>(self, root: M) -> io::Result<JoinHandle<()>>
    where
        M: FnOnce(Seat<T>) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        abort_on_panic();
        let (started, result) = bounded(1);
        let name = format!("{THREAD_NAME}{}", self.index);
        let thread = Builder::new().name(name).spawn(move || match self.runtime() {
            Ok(runtime) => {
                // The starter waits for exactly one answer.
                let _ = started.send(Ok(()));
                runtime.block_on(async move { root(self).await });
                runtime.shutdown_background();
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        })?;
        result.recv().map_err(|_| io::Error::other("the thread of a shard ended at once"))??;
        Ok(thread)
    }

    /// Pins this thread and builds its runtime.
    fn runtime(&self) -> io::Result<tokio::runtime::LocalRuntime> {
        if let Some(core) = self.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(shard = self.index, core = core.id, "cannot pin the shard to its core");
        }
        let index = usize::from(self.index);
        let (mesh, commands) = (self.mesh.clone(), self.commands.clone());
        let awake = self.mesh.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || mesh.bell(index).before_sleep(|| mesh.has_work(index) || !commands.is_empty()))
            .on_thread_unpark(move || awake.bell(index).after_sleep())
            .build_local(LocalOptions::default())
    }
}

/// The cores that shards may run on: of those with these numbers, or of all, the ones that this process may use.
///
/// If none of the wanted ones is there, all count: a file that was written for another machine shall run on this one.
#[must_use]
pub fn cores_among(wanted: Option<&[usize]>) -> Vec<CoreId> {
    let all = core_affinity::get_core_ids().unwrap_or_default();
    let Some(wanted) = wanted else { return all };
    let there: Vec<CoreId> = all.iter().copied().filter(|core| wanted.contains(&core.id)).collect();
    if there.is_empty() { all } else { there }
}

/// The cores to pin so many shards to, or none if there are fewer.
#[must_use]
pub fn cores_for(shards: usize, mut cores: Vec<CoreId>) -> Option<Vec<CoreId>> {
    if cores.len() < shards {
        return None;
    }
    cores.truncate(shards);
    Some(cores)
}

/// Tokio keeps the panic of a task to itself, but a shard whose state may be half changed must not go on.
fn abort_on_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            report(info);
            if std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_NAME)) {
                std::process::abort();
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::mesh::Port;
    use std::task::Poll;

    struct Token;

    impl Parcel for Token {
        fn weight(&self) -> usize {
            1
        }
    }

    /// Two shards pass a token to and fro; each sleeps in between. A lost wake-up would leave both asleep for ever.
    #[test]
    fn no_wake_up_is_lost() {
        const ROUNDS: usize = 20_000;
        let mesh = Arc::new(Mesh::new(2, 1));
        let mut doors = Vec::new();
        let mut threads = Vec::new();
        let (done, ended) = bounded(2);
        for index in 0..2 {
            let (seat, door) = Seat::new(index, None, mesh.clone());
            doors.push(door);
            let done = done.clone();
            let thread = seat.start(move |seat| {
                let mut port = Port::new(seat.mesh.clone(), index);
                let mut taken = 0;
                if index == 0 {
                    port.post(1, Token);
                    port.hand_over();
                }
                std::future::poll_fn(move |cx| {
                    seat.mesh.bell(usize::from(index)).attach(cx.waker());
                    while let Some((from, batch)) = port.take() {
                        taken += batch.len();
                        port.post(from, Token);
                        port.hand_over();
                    }
                    if taken >= ROUNDS {
                        let _ = done.try_send(index);
                    }
                    match seat.commands.try_recv() {
                        Ok(Command::Stop) => Poll::Ready(()),
                        _ => Poll::Pending,
                    }
                })
            });
            threads.push(thread.expect("a thread"));
        }
        for _ in 0..2 {
            ended.recv_timeout(std::time::Duration::from_secs(60)).expect("a wake-up was lost");
        }
        for door in &doors {
            door.send(Command::Stop).expect("room for an order");
        }
        for thread in threads {
            thread.join().expect("the shard ends");
        }
    }
}
