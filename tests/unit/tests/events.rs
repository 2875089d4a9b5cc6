//! All events are kept completely and in order, with several writers at the same time and after a crash.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use provisioner::events::{Event, EventLog, EventOutcome, Events, Line, Record};
use provisioner::stage::Stage;

use crate::given::House;

fn events(house: &House) -> Events {
    Events::kept_in(EventLog::in_home(&house.home))
}

fn down(instance: impl Into<String>) -> Event {
    Event::ClusterDown { instance: instance.into() }
}

fn text(house: &House) -> String {
    std::fs::read_to_string(house.home.events()).unwrap()
}

fn records(house: &House) -> Vec<Record> {
    let batch = EventLog::in_home(&house.home).reader().more().unwrap();
    let whole = batch.lines.into_iter().map(|line| match line {
        Line::Record(record) => *record,
        Line::Damaged { number, error } => panic!("line {number}: {error}"),
    });
    assert_eq!(batch.unfinished, None);
    whole.collect()
}

#[test]
fn a_record_has_event_time_instance_actor_and_outcome() {
    let house = House::new();
    let events = events(&house);
    let took = Duration::from_millis(1640);
    let stage = |stage, error: Option<&str>| Event::StageCompleted {
        instance: "acme".to_owned(),
        stage,
        node: None,
        took,
        error: error.map(str::to_owned),
    };
    events.publish(Event::InstanceClaimed {
        instance: "acme".to_owned(),
        subnet: "192.168.60.0/24".to_owned(),
    });
    events.publish(Event::StageStarted { instance: "acme".to_owned(), stage: Stage::Nodes, node: None });
    events.publish(stage(Stage::Nodes, None));
    events.publish(stage(Stage::Init, Some("two\nlines")));
    assert!(events.lost().is_none());
    let lines: Vec<serde_json::Value> = text(&house)
        .lines()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            let at = record["at"].as_str().unwrap();
            assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
            assert_eq!(record["actor"]["pid"], std::process::id());
            assert!(!record["actor"]["user"].as_str().unwrap().is_empty());
            assert!(record["actor"]["command"].as_str().unwrap().contains("unit"));
            record["at"] = "[time]".into();
            record["actor"] = "[this process]".into();
            record
        })
        .collect();
    insta::assert_json_snapshot!(lines);
    let outcomes: Vec<EventOutcome> = records(&house).iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [EventOutcome::Ok, EventOutcome::Begun, EventOutcome::Ok, EventOutcome::Failed]);
    assert_eq!(std::fs::metadata(house.home.events()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn events_that_change_no_state_are_published_and_not_logged() {
    let house = House::new();
    let events = events(&house);
    let mut heard = events.subscribe();
    events.publish(Event::AssetStarted { asset: "etcd".to_owned(), step: 1, of: 2 });
    assert!(matches!(heard.try_recv(), Ok(Event::AssetStarted { .. })));
    assert!(!house.home.root().exists());
}

#[test]
fn lines_of_many_writers_never_mix_and_none_is_lost() {
    const WRITERS: usize = 8;
    const EVENTS: usize = 25;
    let house = House::new();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let house = &house;
            scope.spawn(move || {
                // Each thread has its own log value, as each process has. The lines have very different lengths.
                let events = events(house);
                for i in 0..EVENTS {
                    events.publish(down(format!("w{writer}-{i}-{}", "x".repeat(i * 400))));
                }
                assert!(events.lost().is_none());
            });
        }
    });
    let seen: Vec<String> = records(&house).iter().map(|record| record.instances[0].clone()).collect();
    assert_eq!(seen.len(), WRITERS * EVENTS);
    for writer in 0..WRITERS {
        let prefix = format!("w{writer}-");
        let own = seen.iter().filter(|name| name.starts_with(&prefix));
        let order: Vec<usize> = own.map(|name| name.split('-').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(order, (0..EVENTS).collect::<Vec<_>>(), "the events of one writer are out of order");
    }
}

#[test]
fn a_line_torn_anywhere_is_reported_and_hurts_no_other() {
    let house = House::new();
    events(&house).publish(down("acme"));
    let first = std::fs::read(house.home.events()).unwrap();
    for length in 1..first.len() {
        let torn = [first.as_slice(), &first[..length]].concat();
        std::fs::write(house.home.events(), &torn).unwrap();
        let batch = EventLog::in_home(&house.home).reader().more().unwrap();
        assert_eq!((batch.lines.len(), batch.unfinished), (1, Some(2)), "torn at {length}");

        events(&house).publish(down("globex"));
        let batch = EventLog::in_home(&house.home).reader().more().unwrap();
        assert!(text(&house).as_bytes().starts_with(&torn), "a written line has changed");
        assert_eq!(batch.unfinished, None);
        match &batch.lines[..] {
            [Line::Record(acme), Line::Damaged { number: 2, .. }, Line::Record(globex)] => {
                assert!(acme.is_about("acme") && globex.is_about("globex"));
            }
            // Only the line feed was missing: the event is not lost.
            [Line::Record(_), Line::Record(again), Line::Record(_)] if length == first.len() - 1 => {
                assert!(again.is_about("acme"));
            }
            lines => panic!("torn at {length}: {lines:?}"),
        }
    }
}

#[test]
fn a_reader_continues_where_it_stopped_and_begins_again_in_a_new_file() {
    let house = House::new();
    let mut reader = EventLog::in_home(&house.home).reader();
    assert_eq!(reader.more().unwrap(), Default::default());
    let events = events(&house);
    events.publish(down("acme"));
    assert_eq!(reader.more().unwrap().lines.len(), 1);
    assert_eq!(reader.more().unwrap().lines.len(), 0);
    events.publish(down("globex"));
    events.publish(down("initech"));
    assert_eq!(reader.more().unwrap().lines.len(), 2);
    std::fs::remove_file(house.home.events()).unwrap();
    events.publish(down("hooli"));
    let batch = reader.more().unwrap();
    assert!(matches!(&batch.lines[..], [Line::Record(record)] if record.is_about("hooli")), "{batch:?}");
}

#[test]
fn records_and_fields_of_newer_versions_are_kept_as_they_are() {
    let house = House::new();
    events(&house).publish(down("acme"));
    let newer = text(&house)
        .replace("ClusterDown", "ClusterPaused")
        .replace("\"version\":1", "\"version\":2,\"why\":[1]");
    std::fs::write(house.home.events(), &newer).unwrap();
    let record = &records(&house)[0];
    assert_eq!((record.event.as_str(), record.version), ("ClusterPaused", 2));
    assert_eq!(record.details["why"], serde_json::json!([1]));
    assert_eq!(
        serde_json::to_value(record).unwrap(),
        serde_json::from_str::<serde_json::Value>(&newer).unwrap()
    );
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing_and_is_reported() {
    let house = House::new();
    std::fs::write(house.home.root(), "a file where the folder should be").unwrap();
    let events = events(&house);
    let mut heard = events.subscribe();
    events.publish(down("acme"));
    assert_eq!(heard.try_recv().unwrap(), down("acme"));
    let lost = events.lost().unwrap();
    assert_eq!(lost.to_string(), format!("open {}", house.home.events()));
    assert!(events.lost().is_none(), "the error was returned twice");
}

#[test]
fn the_format_of_a_line_is_published() {
    published::is_schema::<Record>("event.json");
    let house = House::new();
    let events = events(&house);
    events.publish(down("acme"));
    events.publish(Event::StageStarted { instance: "acme".to_owned(), stage: Stage::Nodes, node: None });
    events.publish(Event::GuardRestored { instances: Vec::new(), deviations: Vec::new(), times: 2 });
    published::conform("event.json", &text(&house).lines().collect::<Vec<_>>());
}
