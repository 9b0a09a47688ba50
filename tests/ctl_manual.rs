//! What goingctl can do, what its help tells, what its manual tells and what
//! shells complete are the same.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test that starts programs")]

use std::collections::BTreeSet;
use std::process::Command;

/// What goingctl writes when it is called like this.
fn goingctl(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_goingctl")).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands which the help tells.
fn commands() -> BTreeSet<String> {
    let help = goingctl(&["--help"]);
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands = list.lines().filter_map(|line| line.split_whitespace().next());
    commands.map(str::to_owned).collect()
}

/// The flags of a help text: the words before the explanation of each.
fn flags_of_help(help: &str) -> BTreeSet<String> {
    let list = help.split("\nOptions:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let words = list.lines().flat_map(|line| {
        let option = line.trim_start().split("  ").next().unwrap();
        option.split([' ', ',']).map(str::to_owned).collect::<Vec<_>>()
    });
    words.filter(|word| word.starts_with('-')).collect()
}

/// The flags of a manual page, as `.Fl f` and `.Fl -follow` mark them.
fn flags_of_manual(page: &str) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with('.') && !line.starts_with(".\\\"")) {
        let mut is_flag = false;
        for word in line.split_whitespace() {
            match word {
                "Fl" | ".Fl" => is_flag = true,
                // `.Fl V | h`
                "|" => {}
                _ if is_flag
                    && word.chars().next().is_some_and(char::is_uppercase)
                    && word.len() > 1 =>
                {
                    is_flag = false;
                }
                _ if is_flag && [",", ")", ".", ";", "]"].contains(&word) => is_flag = false,
                _ if is_flag => {
                    flags.insert(format!("-{word}"));
                }
                _ => {}
            }
        }
    }
    flags
}

fn manual() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/goingctl.8");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn commands_are_the_same_in_help_and_manual() {
    let page = manual();
    let body = page.split("\n.Ss Looking\n").nth(1).unwrap().split("\n.Ss Other").next().unwrap();
    let items = body.lines().filter_map(|line| line.strip_prefix(".It Ic "));
    let told: BTreeSet<String> =
        items.filter_map(|item| item.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(told, commands());
}

#[test]
fn flags_are_the_same_in_help_and_manual() {
    let mut flags = flags_of_help(&goingctl(&["--help"]));
    for command in commands() {
        flags.extend(flags_of_help(&goingctl(&[&command, "--help"])));
    }
    assert!(flags.contains("--no-wait") && flags.contains("-w"), "{flags:?}");
    assert_eq!(flags_of_manual(&manual()), flags);
}

#[test]
fn flags_and_commands_are_completed() {
    let completed = goingctl(&["complete-words", "--", ""]);
    assert_eq!(completed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), commands());
    for command in commands() {
        let help = flags_of_help(&goingctl(&[&command, "--help"])).into_iter();
        let long: BTreeSet<String> = help.filter(|flag| flag.starts_with("--")).collect();
        let completed = goingctl(&["complete-words", "--", &command, "--"]);
        let completed: BTreeSet<String> = completed.lines().map(str::to_owned).collect();
        assert_eq!(completed, long, "{command}");
    }
}

#[test]
fn flags_are_read_as_they_are_meant() {
    let help = "x\n\nOptions:\n  -w, --watch  See -x\n      --for <STATE>  It\n\nFoot -y\n";
    let words = |words: &[&str]| words.iter().map(|&it| it.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(flags_of_help(help), words(&["-w", "--watch", "--for"]));
    let page = ".\\\" Fl q\n.Op Fl a | b\n.It Ic x Oo Fl c Oc Op Fl -since Ar n , Fl e\nFl z\n.Fl -dir ) ,\n";
    assert_eq!(flags_of_manual(page), words(&["-a", "-b", "-c", "--since", "-e", "--dir"]));
}
