//! `homelab watch`: restores the host guard at once, and records the packets that it refuses.

mod unit;

use clap::Args;
use provisioner::events::Event;
use provisioner::fabric::Restoration;
use provisioner::watch::{Notice, Watch as HostWatch};
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::guard;
use crate::printer::{Mark, Printer};
use crate::signals::Signals;

/// Keep the host guard intact, and record the packets that it refuses
///
/// Stays in the foreground until it is interrupted. If another program changes the guard's rules or routes, or the
/// kernel's settings of one of homelab's links, the command restores them and records the event GuardRestored. Each
/// kind of packet that the guard refuses is recorded as the event CrossingRefused: link, instance, addresses, protocol,
/// port and, if known, the node or pod. Repetitions are counted and recorded together. `homelab events --follow` shows
/// both events.
///
/// A watch is optional: every command that works with an instance as root restores the guard, too. One watch is enough
/// for all homes of a host.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab watch
  sudo homelab watch --once             restore the guard now, and end
  sudo homelab watch --install          let systemd run the watch from every boot on
  homelab watch --print-unit            for your own systemd unit")]
pub(crate) struct Watch {
    /// Check the guard once, restore what differs, and end
    #[arg(long, conflicts_with_all = ["install", "uninstall", "print_unit"])]
    once: bool,
    /// Install, enable and start a systemd unit that runs the watch for this home
    #[arg(long, conflicts_with_all = ["uninstall", "print_unit"])]
    install: bool,
    /// Stop, disable and remove the systemd unit
    #[arg(long, conflicts_with = "print_unit")]
    uninstall: bool,
    /// Print the systemd unit, and change nothing
    #[arg(long)]
    print_unit: bool,
}

impl Watch {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        if self.print_unit {
            app.printer.result(&unit::of_this_program(app.home())?);
            return Ok(Exit::Ok);
        }
        app.must_be_root()?;
        match (self.install, self.uninstall, self.once) {
            (true, ..) => unit::install(app).await,
            (_, true, _) => unit::uninstall(app).await,
            (.., true) => once(app).await,
            _ => watch(app).await,
        }
    }
}

async fn once(app: &App) -> Result<Exit, CliError> {
    let kept = app.provisioner.keep_guard().await;
    match guard::told(&kept) {
        Some((mark, lines)) => lines.iter().for_each(|line| app.printer.line(mark, line)),
        None if matches!(kept, Ok(Restoration::NotNeeded)) => {
            app.printer.done("no host guard is needed: this host has no link of homelab");
        }
        None => app.printer.done("the host guard is intact"),
    }
    Ok(if kept.is_ok() { Exit::Ok } else { Exit::CouldNotRun })
}

async fn watch(app: &App) -> Result<Exit, CliError> {
    let mut signals = Signals::listen()?;
    let mut events = app.provisioner.events().subscribe();
    let mut watch = HostWatch::begin(app.provisioner.clone())?;
    let printer = app.printer.clone();
    let mut say = |said: Notice<'_>| self::say(&printer, &said);
    let watching = watch.run(&mut say);
    tokio::pin!(watching);
    loop {
        tokio::select! {
            () = &mut watching => {}
            event = events.recv() => match event {
                Ok(event) => if let Some(line) = line(&event) {
                    app.printer.line(Mark::Bad, &line);
                },
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(Exit::Ok),
            },
            signal = signals.next() => {
                app.printer.line(Mark::Good, &format!("{signal}: the watch has ended"));
                return Ok(Exit::Ok);
            }
        }
    }
}

fn say(printer: &Printer, said: &Notice<'_>) {
    match said {
        Notice::Begun { by_packet: true } => {
            printer.line(Mark::Good, "watching the host guard, and the packets that it refuses");
        }
        Notice::Begun { by_packet: false } => printer.line(
            Mark::Good,
            "watching the host guard, and the number of packets that it refuses; this kernel cannot log packets \
             (CONFIG_NETFILTER_NETLINK_LOG)",
        ),
        Notice::Failed(error) => {
            printer.line(Mark::Bad, &format!("the host guard: {}", provisioner::error::chain(*error)));
        }
    }
}

/// The line of an event; `None` for an event without one. Pure.
fn line(event: &Event) -> Option<String> {
    match event {
        Event::GuardRestored { deviations, times, .. } => {
            let often = if *times > 1 { format!(", {times} times") } else { String::new() };
            Some(format!("the host guard was restored{often}: {}", deviations.join("; ")))
        }
        Event::CrossingRefused { instance, link, crossing, attempts } => {
            let of =
                instance.as_ref().map_or_else(|| link.clone(), |instance| format!("{instance} ({link})"));
            let what = crossing.as_ref().map_or_else(
                || "packets of many kinds".to_owned(),
                |crossing| {
                    let named = |address: &dyn std::fmt::Display, name: &Option<String>| match name {
                        Some(name) => format!("{name} ({address})"),
                        None => address.to_string(),
                    };
                    let port = crossing.port.map(|port| format!(" {port}")).unwrap_or_default();
                    let (from, to) =
                        (named(&crossing.from, &crossing.sender), named(&crossing.to, &crossing.target));
                    format!("{from} to {to}, {}{port}", crossing.protocol)
                },
            );
            let often = if *attempts > 1 { format!(", {attempts} times") } else { String::new() };
            Some(format!("refused at {of}: {what}{often}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use provisioner::events::RefusedPacket;

    use super::*;

    #[test]
    fn each_restoration_and_each_refused_packet_has_one_line() {
        let crossing = |sender: Option<&str>, port| RefusedPacket {
            from: [192, 168, 60, 11].into(),
            sender: sender.map(str::to_owned),
            to: [192, 168, 61, 10].into(),
            target: Some("node globex-cp-1".to_owned()),
            protocol: if port == Some(6443) { "tcp" } else { "icmp" }.to_owned(),
            port,
        };
        let refused = |instance: Option<&str>, crossing, attempts| Event::CrossingRefused {
            instance: instance.map(str::to_owned),
            link: "hl-0a1b2c3d4e".to_owned(),
            crossing,
            attempts,
        };
        let restored = |times| Event::GuardRestored {
            instances: vec!["acme".to_owned()],
            deviations: vec!["chain input is empty".to_owned(), "chain forward is empty".to_owned()],
            times,
        };
        let lines = [
            restored(1),
            restored(4),
            refused(Some("acme"), Some(crossing(Some("node acme-w-1"), Some(6443))), 1),
            refused(Some("acme"), Some(crossing(None, None)), 30),
            refused(None, None, 980),
        ];
        insta::assert_snapshot!(lines.iter().filter_map(line).collect::<Vec<_>>().join("\n"));
    }
}
