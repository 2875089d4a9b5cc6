//! The figures as Markdown.

use comfy_table::{Table, presets};

use crate::measure::{Case, Temperature};

/// Prints the figures of all cases, and each case's stages.
#[expect(clippy::print_stdout, reason = "this is a program, and this is its result")]
pub(crate) fn print(cases: &[Case]) {
    let mut figures = table(&["case", "up", "a pod resolves a name", "down", "a worker", "memory a cluster"]);
    for case in cases {
        figures.add_row([
            case.name.to_owned(),
            seconds(case.up),
            seconds(case.first_answer),
            seconds(case.down),
            case.worker.map_or_else(String::new, seconds),
            format!("{:.0} MiB", case.memory),
        ]);
    }
    println!("{figures}\n");
    for case in cases {
        let rounds = if case.temperature == Temperature::Cold { "cold, one round" } else { "median" };
        let mut shares = table(&["stage", "took", "share"]);
        for (stage, took) in &case.stages {
            shares.add_row([stage.clone(), seconds(*took), format!("{:.0} %", 100.0 * took / case.up)]);
        }
        println!("{} ({rounds} of {}):\n\n{shares}\n", case.name, case.rounds);
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(columns.to_vec());
    table
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}
