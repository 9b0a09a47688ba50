//! What is asked for, and what is refused.

use proptest::prelude::*;

use super::*;

fn read(lines: &str) -> Result<Request, Refusal> {
    Request::from_message(&Message::parse(lines.replace(' ', "\n").as_bytes()).unwrap())
}

fn refused(lines: &str) -> (Code, String) {
    let refusal = read(lines).unwrap_err();
    (refusal.code, refusal.message)
}

#[test]
fn every_command_is_read_by_its_word() {
    for (word, command) in COMMANDS {
        assert_eq!(Command::read(word), Some(command));
        assert_eq!(command.word(), word);
    }
}

#[test]
fn requests_have_what_their_command_needs() {
    let request = read("going=1 command=status").unwrap();
    assert_eq!(request, Request::new(Command::Status));
    let request = read("going=1 command=stop name=web name=@db name=a*").unwrap();
    assert_eq!(request.names, ["web", "@db", "a*"]);
    let request = read("going=1 command=signal signal=SIGHUP name=web").unwrap();
    assert_eq!(request.signal, Some(Signal(1)));
    let request = read("going=1 command=events since=17 follow=yes").unwrap();
    assert_eq!((request.since, request.follow), (Some(17), true));
    assert!(read("going=1 command=reload dry-run=yes").unwrap().dry_run);
    assert!(!read("going=1 command=reload dry-run=no").unwrap().dry_run);
}

#[test]
fn version_comes_first() {
    for lines in ["", "command=status", "command=status going=1", "x=1 going=1"] {
        let (code, message) = refused(lines);
        assert_eq!(code, Code::Version, "{lines}");
        assert_eq!(message, "a request must begin with going=1");
    }
    let (code, message) = refused("going=2 command=status");
    assert_eq!(code, Code::Version);
    assert_eq!(message, "version \"2\" of the protocol is not spoken here, only version 1");
}

#[test]
fn unknown_command_is_refused_with_the_nearest() {
    let (code, message) = refused("going=1 command=statsu");
    assert_eq!(code, Code::UnknownCommand);
    assert_eq!(message, "no command \"statsu\"; did you mean \"status\"?");
    assert_eq!(refused("going=1 command=").0, Code::UnknownCommand);
    assert_eq!(refused("going=1").0, Code::Invalid);
    assert_eq!(refused("going=1 name=web command=stop").0, Code::Invalid);
}

#[test]
fn what_is_not_understood_is_refused() {
    for (lines, message) in [
        ("going=1 command=reload dryrun=yes", "\"dryrun\" does not go with command=reload"),
        ("going=1 command=stop name=a dry-run=yes", "\"dry-run\" does not go with command=stop"),
        ("going=1 command=ping name=a", "\"name\" does not go with command=ping"),
        ("going=1 command=ping going=1", "\"going\" does not go with command=ping"),
        ("going=1 command=reload dry-run=1", "dry-run= is \"1\", but must be yes or no"),
        ("going=1 command=events since=-1", "since= is \"-1\", but must be a number"),
        ("going=1 command=signal name=a signal=TREM", {
            "no signal \"TREM\"; did you mean \"TERM\"?"
        }),
        ("going=1 command=signal name=a", "signal needs signal="),
        ("going=1 command=signal signal=TERM", "signal needs the name of a service"),
        ("going=1 command=send name=a", "send needs text="),
        ("going=1 command=stop", "stop needs the name of a service"),
        ("going=1 command=why", "why needs the name of a service"),
        ("going=1 command=status name=", "name= has no value"),
    ] {
        assert_eq!(refused(lines), (Code::Invalid, message.to_owned()), "{lines}");
    }
    let (code, message) = refused("going=1 command=signal name=a signal=TERM signal=KILL");
    assert_eq!((code, &*message), (Code::Invalid, "\"signal\" does not go with command=signal"));
}

fn any_request() -> impl Strategy<Value = Request> {
    let command = prop::sample::select(COMMANDS.map(|(_, command)| command).to_vec());
    let names = prop::collection::vec("[a-z@*]{1,4}", 1..4);
    (command, names, 1..=64_u8, any::<bool>(), any::<Option<u64>>(), any::<bool>()).prop_map(
        |(command, names, signal, dry_run, since, follow)| {
            let is_events = command == Command::Events;
            Request {
                command,
                names: if command.takes_names() { names } else { Vec::new() },
                signal: (command == Command::Signal).then_some(Signal(signal)),
                dry_run: dry_run && command == Command::Reload,
                since: since.filter(|_| is_events),
                follow: follow && is_events,
                text: (command == Command::Send).then(|| "a line = \\ of\ntext".to_owned()),
            }
        },
    )
}

proptest! {
    #[test]
    fn written_requests_are_read_again(request in any_request()) {
        prop_assert_eq!(Request::from_message(&request.to_message()), Ok(request));
    }

    #[test]
    fn no_message_makes_it_panic(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "going=1", "command=signal", "command=events", "name=a", "name=", "signal=HUP",
                "signal=x", "since=99999999999999999999", "follow=yes", "dry-run=",
            ]),
            0..6,
        )
    ) {
        let _ = read(&lines.join(" "));
    }
}
