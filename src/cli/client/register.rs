//! `corebar reg`: answers calls of a procedure.

use super::failure::{Done, Failure, said};
use super::lasting::Lasting;
use super::login::{Login, seconds};
use super::output::{self, Output};
use super::pattern::Match;
use super::shell::{Ending, Shell};
use super::stop::Stop;
use super::template::Template;
use super::values::{self, Pair, ShownDict, ShownList};
use crate::client::{CallError, Invocation, Registration, Session};
use crate::wamp::{Dict, Value};
use clap::{ArgGroup, ValueEnum};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const HELP: &str = "\
The command is run by sh, once for each call. It gets the arguments as $1, $2, … (text as it is, other values as JSON), and \
on standard input a line of JSON: {\"procedure\", \"args\", \"kwargs\", \"details\"}. WAMP_PROCEDURE, WAMP_CALLER, \
WAMP_CALLER_AUTHID, WAMP_CALLER_AUTHROLE and WAMP_PROGRESS (1: the caller takes results as they are made) are in its \
environment, as far as they are known. Write \"$1\", with the quotes: what callers send is then never taken for a command.

What it prints is the result. If it fails, the call is answered with an error that holds what it printed on standard error. \
If the caller cancels, all processes of its group are told to end (SIGTERM), and killed after --grace. What it leaves \
running in its group is killed when it ends.";

/// So long after it has taken a registration away a router may say GOODBYE.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(3);

/// What to answer, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP, group(ArgGroup::new("answer").required(true)))]
pub struct Register {
    /// The procedure, or a pattern with --match.
    procedure: String,

    /// Answer with the arguments of the call.
    #[arg(long, group = "answer")]
    echo: bool,

    /// Answer with what this command of the shell prints.
    #[arg(long, short = 'c', value_name = "COMMAND", group = "answer")]
    command: Option<String>,

    /// Answer with this value: JSON if it is JSON, else text. May be given more than once, for several results. The
    /// variables are those of `corebar pub`.
    #[arg(long, value_name = "VALUE", group = "answer")]
    reply: Vec<String>,

    /// What the command prints is JSON, not text.
    #[arg(long, requires = "command")]
    json_result: bool,

    /// Each line that the command prints is a result of its own, if the caller takes results as they are made.
    #[arg(long, requires = "command")]
    progress: bool,

    /// The error of calls whose command fails.
    #[arg(long, value_name = "URI", default_value = "wamp.error.runtime_error")]
    error: String,

    /// How long a command may take to end when it is told to, before it is killed.
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    grace: Duration,

    /// How the procedure is matched.
    #[arg(long = "match", value_enum, value_name = "POLICY", default_value = "exact")]
    policy: Match,

    /// Who is called, if others register the same and say the same.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "single")]
    invoke: Invoke,

    /// Take the procedure away from whoever has it.
    #[arg(long)]
    force: bool,

    /// How many calls are worked on at a time; the router is told, and may ask others. [default: 16, and the router is not
    /// told]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    concurrency: Option<u32>,

    /// End after so many calls. [default: at Ctrl-C, with exit code 0]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Any other option of REGISTER. May be given more than once.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<Pair>,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    lasting: Lasting,

    #[command(flatten)]
    pub(super) login: Login,
}

/// Who is called of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
enum Invoke {
    /// There are no others.
    Single,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The first.
    First,
    /// The last.
    Last,
}

impl Register {
    fn registration(&self) -> Dict {
        let mut options = Dict::new();
        self.policy.say(&mut options);
        if self.invoke != Invoke::Single
            && let Some(value) = self.invoke.to_possible_value()
        {
            options.push("invoke", value.get_name());
        }
        if self.force {
            options.push("force_reregister", true);
        }
        if let Some(count) = self.concurrency {
            options.push("concurrency", u64::from(count));
        }
        values::add_options(&mut options, &self.options);
        options
    }

    /// What answers.
    fn responder(&self) -> Responder {
        match &self.command {
            Some(command) => Responder::Shell(Shell {
                command: command.clone(),
                json: self.json_result,
                progress: self.progress,
                error: self.error.clone(),
                grace: self.grace,
                output_bytes_max: self.login.message_bytes_max,
            }),
            None if self.echo => Responder::Echo,
            None => Responder::Fixed(self.reply.clone()),
        }
    }
}

/// What answers calls.
enum Responder {
    Echo,
    Fixed(Vec<String>),
    Shell(Shell),
}

/// What became of a call.
enum Answered {
    Result(Vec<Value>, Dict),
    Error(CallError),
    Canceled,
}

impl Responder {
    async fn answer(&self, invocation: &mut Invocation, number: u64) -> Answered {
        match self {
            Responder::Echo => Answered::Result(invocation.args.clone(), invocation.kwargs.clone()),
            Responder::Fixed(values) => {
                let template = Template::new(number);
                let args = values.iter().map(|value| values::read(&template.fill(value)));
                Answered::Result(args.collect(), Dict::new())
            }
            Responder::Shell(shell) => match shell.run(invocation).await {
                Ending::Result(args) => Answered::Result(args, Dict::new()),
                Ending::Failed(why) => Answered::Error(why),
                Ending::Canceled => Answered::Canceled,
            },
        }
    }
}

/// Answers a call; gives what is to be printed of it.
async fn attend(responder: Arc<Responder>, mut invocation: Invocation, number: u64, output: Output) -> String {
    let (time, procedure) = (output::now(), invocation.procedure.clone());
    let answered = responder.answer(&mut invocation, number).await;
    let line = if output.quiet {
        String::new()
    } else if output.json {
        record(&time, &invocation, &answered).to_string()
    } else {
        let mut line = format!("{time} {procedure} {}", values::line(&invocation.args, &invocation.kwargs));
        line.truncate(line.trim_end().len());
        line.push_str(&match &answered {
            Answered::Result(args, kwargs) => format!(" -> {}", values::line(args, kwargs)),
            Answered::Error(why) => format!(" -> {}", said(why).replace('\n', " ")),
            Answered::Canceled => " -> canceled".into(),
        });
        values::harmless(line.trim_end())
    };
    match answered {
        Answered::Result(args, kwargs) => invocation.finish(args, kwargs),
        Answered::Error(why) => invocation.fail(why),
        Answered::Canceled => drop(invocation),
    }
    line
}

fn record(time: &str, invocation: &Invocation, answered: &Answered) -> Json {
    let arguments = |args, kwargs| json!({"args": ShownList(args), "kwargs": ShownDict(kwargs)});
    let (key, value) = match answered {
        Answered::Result(args, kwargs) => ("result", arguments(args, kwargs)),
        Answered::Error(why) => {
            let mut error = arguments(&why.args, &why.kwargs);
            error["uri"] = json!(&*why.error);
            ("error", error)
        }
        Answered::Canceled => ("canceled", json!(true)),
    };
    let mut record = arguments(&invocation.args, &invocation.kwargs);
    let details = ShownDict(&invocation.details);
    for (key, value) in
        [("time", json!(time)), ("procedure", json!(&*invocation.procedure)), ("details", json!(details)), (key, value)]
    {
        record[key] = value;
    }
    record
}

/// Registers, and answers until it is enough.
///
/// # Errors
/// There is no session, the router refuses, or the session ends.
pub(super) async fn run(wanted: Register) -> Done {
    let (session, stop) = wanted.login.begin_lasting(wanted.lasting, wanted.output).await?;
    let done = serve(&wanted, &session, stop).await;
    session.leave(super::LEAVE).await;
    done
}

async fn serve(wanted: &Register, session: &Session, mut stop: Stop) -> Done {
    let procedure = &*wanted.procedure;
    let registered = wanted.login.soon(procedure, session.register(procedure, wanted.registration())).await?;
    let mut registration = registered.map_err(|why| Failure::of_request(procedure, &why))?;
    wanted.output.hint(&format!("registered {procedure} ({})", wanted.policy.policy().name()));
    let mut working = JoinSet::new();
    let mut done = take(wanted, session, &mut registration, &mut working, &mut stop).await;
    if done.is_ok() {
        // Nobody else is called for what has begun: it is finished.
        let withdrawn = wanted.login.soon(procedure, registration.withdraw()).await;
        done = withdrawn.and_then(|gone| gone.map_err(|why| Failure::of_request(procedure, &why)));
        let finish = async {
            while let Some(line) = working.join_next().await {
                print(wanted.output, line)?;
            }
            Ok(())
        };
        let finished = wanted.login.soon(procedure, finish).await;
        done = done.and(finished.and_then(|printed| printed));
    }
    // What is still worked on is canceled, and its processes killed.
    working.shutdown().await;
    done
}

/// Takes calls until it is enough.
async fn take(
    wanted: &Register,
    session: &Session,
    registration: &mut Registration,
    working: &mut JoinSet<String>,
    stop: &mut Stop,
) -> Done {
    const CONCURRENCY: u32 = 16;
    let room = Arc::new(Semaphore::new(wanted.concurrency.unwrap_or(CONCURRENCY) as usize));
    let responder = Arc::new(wanted.responder());
    let mut number = 0;
    while Some(number) != wanted.count {
        let next = async {
            // It is never closed.
            let room = room.clone().acquire_owned().await;
            (room, registration.next().await)
        };
        let (room, invocation) = tokio::select! {
            next = next => next,
            Some(line) = working.join_next() => {
                print(wanted.output, line)?;
                continue;
            }
            () = stop.asked() => return Ok(()),
        };
        let Some(invocation) = invocation else {
            return tokio::select! {
                // A session that ends takes its registrations with it, before it says why.
                why = session.ended() => Err(Failure::lost(&why)),
                () = stop.asked() => Ok(()),
                () = tokio::time::sleep(GOODBYE_TIME_MAX) => {
                    Err(Failure::refused(format!("{}: the router has taken the registration away", wanted.procedure)))
                }
            };
        };
        number += 1;
        let (responder, output) = (responder.clone(), wanted.output);
        working.spawn(async move {
            let line = attend(responder, invocation, number, output).await;
            drop(room);
            line
        });
    }
    Ok(())
}

fn print(output: Output, line: Result<String, tokio::task::JoinError>) -> Done {
    match line {
        Ok(line) if !output.quiet => output::print(&line),
        _ => Ok(()),
    }
}
