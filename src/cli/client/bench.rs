//! `corebar bench`: the load generator, with the environment variables of the other commands.

use clap::Command;

/// What the examples call it.
const NAME: [&str; 2] = ["corebar", "bench"];

/// Runs the load generator; its exit code is 1 if anything was lost, doubled or out of order, 2 if the run failed.
pub(super) fn run(wanted: loadtest::Cli) -> std::process::ExitCode {
    loadtest::run(wanted, &NAME)
}

/// Lets the load generator appear as a command of this program.
pub(super) fn adapt(bench: Command) -> Command {
    let help = bench.get_after_help().map(|help| help.to_string().replace("loadtest ", "corebar bench "));
    let bench = bench.after_help(help.unwrap_or_default());
    let names: Vec<String> = bench.get_subcommands().map(|scenario| scenario.get_name().to_owned()).collect();
    names.into_iter().fold(bench, |bench, name| bench.mut_subcommand(name, environment))
}

/// Where nothing is said, a scenario takes the router of the environment. Environment variables are no flags here: they do
/// not conflict with any.
fn environment(scenario: Command) -> Command {
    let variables = [
        ("url", "COREBAR_URL"),
        ("realm", "COREBAR_REALM"),
        ("serializer", "COREBAR_SERIALIZER"),
        ("authid", "COREBAR_AUTHID"),
    ];
    let scenario = variables.into_iter().fold(scenario, |scenario, (name, variable)| {
        let value = std::env::var(variable).ok().filter(|_| has(&scenario, name));
        match value {
            Some(value) => scenario.mut_arg(name, |flag| flag.default_value(value)),
            None => scenario,
        }
    });
    [("ticket", "COREBAR_TICKET"), ("cra_secret", "COREBAR_SECRET")].into_iter().fold(
        scenario,
        |scenario, (name, variable)| match has(&scenario, name) {
            true => scenario.mut_arg(name, |flag| flag.env(variable)),
            false => scenario,
        },
    )
}

fn has(scenario: &Command, name: &str) -> bool {
    scenario.get_arguments().any(|flag| flag.get_id() == name)
}
