//! A chat on the terminal: `cargo run --example chat -- NAME [URL [ROOM]]`. Lines that are typed go to all others in the room;
//! who comes later sees the last one.

use corebar::client::{App, AppError, Connect, Named, RequestError, Session};
use corebar::wamp::Dict;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    text: String,
}

/// The lines of standard input. A thread reads them, since a terminal makes whoever reads it wait.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AppError> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("anonymous".into());
    let url = arguments.next().unwrap_or("ws://127.0.0.1:8080/".into());
    let topic = format!("com.example.chat.{}", arguments.next().unwrap_or("lobby".into()));

    let says = {
        let topic = topic.clone();
        move |session: Session| {
            let (topic, name) = (topic.clone(), name.clone());
            async move {
                let mut lines = lines();
                while let Some(text) = lines.recv().await {
                    let line = Line { name: name.clone(), text };
                    match session.event(&topic).kwargs(line).retained().acknowledged().await {
                        Ok(_) => {}
                        Err(RequestError::Disconnected) => println!("* nobody hears you, the router is away"),
                        Err(why) => return Err(why),
                    }
                }
                // The end of the input.
                session.leave("wamp.close.normal").await;
                Ok(())
            }
        }
    };
    App::with(Connect::new(&url, "realm1").on_state(|state| println!("* {state}")))
        .event_with(&topic, Dict::new().with("get_retained", true), async |Named(line): Named<Line>| {
            println!("{}: {}", line.name, line.text);
        })
        .started(says)
        .run()
        .await
}
