//! `homelab events`: prints recorded events, and follows new ones.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use jiff::{Span, Timestamp, Zoned};
use provisioner::events::{EventLog, Line, Record};
use serde_json::Value;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::values::{Format, name};

/// How often `--follow` polls the log. inotify would report at once, but its instances are scarce where kubelets run.
const PAUSE: Duration = Duration::from_millis(200);

/// Show recorded events, and follow new ones
///
/// Every homelab process of this user records its claims, stages, context switches, releases and more as events, each
/// with its time, its outcome and the process that caused it. The log is ~/.homelab/events.jsonl, one JSON object a
/// line, and `--format json` prints it like that. Times are UTC.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab events --since 2h
  homelab events --instance acme --follow
  homelab events --format json | jq -r 'select(.outcome == \"failed\") | .error'")]
pub(crate) struct Events {
    /// Print new events until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only this instance [default: all instances]
    #[arg(long, value_name = "NAME", value_parser = name)]
    instance: Option<String>,
    /// Only newer events: since a time such as 2026-01-31T08:00:00Z, or for a duration such as 30m, 2h, 7d
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Timestamp>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Events {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let mut reader = EventLog::in_home(app.home()).reader();
        let mut pause = tokio::time::interval(PAUSE);
        let mut known = self.follow; // with --follow, the instance may be created later
        loop {
            pause.tick().await;
            let batch = reader.more()?;
            let mut text = String::new();
            for line in &batch.lines {
                if let (Line::Record(record), Some(name)) = (line, &self.instance) {
                    known |= record.is_about(name);
                }
                match line {
                    Line::Record(record) if self.wants(record) => text.push_str(&self.shown(record)),
                    Line::Record(_) => {}
                    Line::Damaged { number, error } => warn(app, *number, error),
                }
            }
            if !app.printer.goes_on(&text) {
                return Ok(Exit::Ok);
            }
            if !self.follow {
                if let Some(number) = batch.unfinished {
                    warn(app, number, "it is incomplete; a crash may have cut it off");
                }
                // The log also has events of removed instances, so only a name without an event must exist.
                if let (Some(name), false) = (&self.instance, known) {
                    app.find(name)?;
                }
                return Ok(Exit::Ok);
            }
        }
    }

    fn wants(&self, record: &Record) -> bool {
        self.instance.as_ref().is_none_or(|name| record.is_about(name))
            && self.since.is_none_or(|since| record.at >= since)
    }

    fn shown(&self, record: &Record) -> String {
        match self.format {
            Format::Text => text(record),
            Format::Json => format!("{}\n", serde_json::to_string(record).unwrap_or_default()),
        }
    }
}

fn warn(app: &App, number: u64, why: &str) {
    let log = crate::words::own_path(&app.home().events());
    app.printer.line(Mark::Bad, &format!("{log}:{number} is no event: {why}"));
}

/// An event as a line: time, instances, event, outcome, details, and the process that caused it.
fn text(record: &Record) -> String {
    let Record { at, event, instances, outcome, actor, .. } = record;
    let mut line = format!("{at:.0}  {:<12}  {event:<25}  {outcome:<6}", instances.join(","));
    for (key, value) in &record.details {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = match key.as_str() {
            "error" => write!(line, "  {key}={}", Value::from(value)), // as JSON, so that line breaks are escaped
            _ => write!(line, "  {key}={value}"),
        };
    }
    let _ = writeln!(line, "  ({}, pid {}: {})", actor.user, actor.pid, actor.command);
    line
}

fn since(text: &str) -> Result<Timestamp, String> {
    since_when(text, &Zoned::now())
}

fn since_when(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = text.parse::<Span>().ok().and_then(|span| now.checked_sub(span).ok());
    ago.map(|time| time.timestamp()).ok_or_else(|| {
        "neither a time such as 2026-01-31T08:00:00Z nor a duration such as 30m, 2h, 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: Value) -> Record {
        serde_json::from_value(json).expect("a record as the log has it")
    }

    /// A claim, a failed stage, and an event of a newer version.
    fn some() -> [Record; 3] {
        let actor = serde_json::json!({ "user": "ada", "pid": 4711, "command": "homelab up acme" });
        let lines = [
            serde_json::json!({
                "version": 1, "at": "2026-11-20T14:00:00.123456Z", "event": "InstanceClaimed",
                "instances": ["acme"], "outcome": "ok", "actor": actor, "subnet": "192.168.60.0/24",
            }),
            serde_json::json!({
                "version": 1, "at": "2026-11-20T14:00:07Z", "event": "StageCompleted", "instances": ["acme"],
                "outcome": "failed", "actor": actor, "stage": "init", "tookMs": 6800, "error": "two\nlines",
            }),
            serde_json::json!({
                "version": 1, "at": "2026-11-20T14:00:08Z", "event": "FederationOpened",
                "instances": ["acme", "globex"], "outcome": "ok", "actor": actor,
            }),
        ];
        lines.map(record)
    }

    #[test]
    fn an_event_is_a_line_with_its_time_outcome_and_actor() {
        insta::assert_snapshot!(some().each_ref().map(text).concat());
    }

    #[test]
    fn programs_get_what_is_published() {
        let events = Events { follow: false, instance: None, since: None, format: Format::Json };
        published::conform("event.json", &some().each_ref().map(|record| events.shown(record)));
    }

    #[test]
    fn since_takes_a_time_or_how_long_ago() {
        let now: Zoned = "2026-11-20T14:00:00+00:00[UTC]".parse().expect("a time");
        let said = ["2026-11-20T13:30:00Z", "30m", "2h", "7d", "1d 2h", "yesterday", ""];
        let said = said.map(|text| match since_when(text, &now) {
            Ok(time) => format!("{text} -> {time}"),
            Err(why) => format!("{text} -> {why}"),
        });
        insta::assert_snapshot!(said.join("\n"));
    }
}
