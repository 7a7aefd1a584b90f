//! What the core costs in instructions, which no other program on the machine disturbs: per publication, per event and
//! subscriber, per call, with one shard and with several. Runs itself under valgrind, twice for each figure, and prints
//! the difference per operation.
//!
//! With `--check`, fails if a figure is a third above what is written here.
#![allow(missing_docs, reason = "a program")]

mod shards;

use shards::Shards;
use std::process::{Command, ExitCode};

const OPERATIONS: [u32; 2] = [200, 400];

/// A third more than usual is noticed.
const TOLERANCE: f64 = 4.0 / 3.0;

/// What is measured.
struct Figure {
    name: &'static str,
    /// What one operation is divided by.
    per: f64,
    /// Instructions when this was last looked at.
    usual: f64,
    run: fn(u32),
}

const FIGURES: &[Figure] = &[
    Figure { name: "publication", per: 1.0, usual: 5_000.0, run: |n| publish(n, 1, 0, None, 80) },
    Figure { name: "event per subscriber", per: 1000.0, usual: 55.0, run: |n| publish(n, 1, 1000, None, 80) },
    Figure { name: "call and result", per: 1.0, usual: 10_700.0, run: |n| call(n, 1) },
    Figure { name: "1 KiB to 100", per: 1.0, usual: 14_100.0, run: |n| publish(n, 1, 100, None, 1000) },
    Figure { name: "1 KiB compressed to 100", per: 1.0, usual: 205_000.0, run: |n| publish(n, 1, 100, Some(15), 1000) },
    Figure { name: "1000 on 1 shard", per: 1.0, usual: 55_200.0, run: |n| publish(n, 1, 1000, None, 80) },
    Figure { name: "1000 on 2 shards", per: 1.0, usual: 57_100.0, run: |n| publish(n, 2, 1000, None, 80) },
    Figure { name: "1000 on 4 shards", per: 1.0, usual: 60_000.0, run: |n| publish(n, 4, 1000, None, 80) },
    Figure { name: "1000 on 8 shards", per: 1.0, usual: 67_000.0, run: |n| publish(n, 8, 1000, None, 80) },
    Figure { name: "call to another shard", per: 1.0, usual: 10_900.0, run: |n| call(n, 2) },
];

fn publish(operations: u32, shards: u16, subscribers: u32, deflate: Option<u8>, octets: usize) {
    let mut all = Shards::new(shards);
    all.join(0, subscribers, None);
    for n in 0..subscribers {
        let shard = (n % u32::from(shards)) as usize;
        all.join(shard, n, deflate);
        all.receive(shard, n, br#"[32,1,{},"com.example.topic"]"#);
    }
    let filler: String = "something that compresses as well as text does ".chars().cycle().take(octets).collect();
    for request in 1..=operations {
        let event = format!(r#"[16,{request},{{}},"com.example.topic",["{filler}"]]"#);
        all.receive(0, subscribers, event.as_bytes());
    }
}

fn call(operations: u32, shards: u16) {
    let callee = usize::from(shards - 1);
    let mut all = Shards::new(shards);
    all.join(0, 1, None);
    all.join(callee, 0, None);
    all.receive(callee, 0, br#"[64,1,{},"com.example.procedure"]"#);
    for request in 1..=operations {
        all.receive(0, 1, format!(r#"[48,{request},{{}},"com.example.procedure",[{request}]]"#).as_bytes());
        all.receive(callee, 0, format!("[70,{request},{{}},[{request}]]").as_bytes());
    }
}

/// Instructions of a whole run.
fn instructions(figure: usize, operations: u32) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args([figure.to_string(), operations.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("Collected"))?.to_string();
    line.rsplit(' ').next()?.parse().ok()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    if let [figure, operations] = *numbers {
        (FIGURES[figure as usize].run)(operations);
        return ExitCode::SUCCESS;
    }
    let check = args.iter().any(|arg| arg == "--check");
    let mut fit = true;
    for (at, figure) in FIGURES.iter().enumerate() {
        let [few, many] = OPERATIONS.map(|operations| instructions(at, operations));
        let (Some(few), Some(many)) = (few, many) else {
            eprintln!("{}: valgrind does not run here", figure.name);
            return if check { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        };
        let each = (many - few) / f64::from(OPERATIONS[1] - OPERATIONS[0]) / figure.per;
        println!("{}: {each:.1} instructions", figure.name);
        if each > figure.usual * TOLERANCE {
            eprintln!("{}: {each:.1} instructions, far more than the usual {:.1}", figure.name, figure.usual);
            fit = false;
        }
    }
    if check && !fit { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
