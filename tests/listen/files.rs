//! Sockets that are files: whose they are, what stands in their place, and that they
//! go when their service goes.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use crate::client::Client;
use crate::common::{Place, has_root, run, wait_until};
use crate::{server, talk};

fn is_there(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[test]
fn a_socket_belongs_to_its_service_unless_it_is_given_to_another() {
    let place = Place::new();
    if !has_root() {
        return;
    }
    let Some(server) = server(&place) else { return };
    let keys = "user=54395\ngroup=54396\n";
    let (own, given, new) = (place.path("own"), place.path("given"), place.path("new/a b/c"));
    place.service(
        "web",
        &format!(
            "cmd={server}\n{keys}listen=unix:{own}\nlisten=unix:{given} mode=0604 owner=54397 group=54398\n\
             listen='unix:{new}' mode=0600\n"
        ),
    );
    let mut going = place.start_under(&["/bin/sh", "-c", "umask 077; exec \"$@\"", "sh"], &[]);
    let pid = going.wait_started("web");
    for (path, mode, uid, gid) in
        [(&own, 0o660, 54395, 54396), (&given, 0o604, 54397, 54398), (&new, 0o600, 54395, 54396)]
    {
        let metadata = fs::symlink_metadata(path).unwrap();
        assert!(metadata.file_type().is_socket());
        assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{path}");
        assert_eq!(talk(UnixStream::connect(path).unwrap()).unwrap(), pid.to_string());
    }
    // Down it is deaf, and so it is gone.
    Client::connect(&place).order(&["command=stop", "name=web"]);
    wait_until("the files to be gone", || ![&own, &given, &new].iter().any(|it| is_there(it)));
    Client::connect(&place).order(&["command=start", "name=web"]);
    going.wait_started("web");
    assert!([&own, &given, &new].iter().all(|it| is_there(it)));
    place.remove("web");
    going.wait_for("web: removed");
    assert!(![&own, &given, &new].iter().any(|it| is_there(it)));
    going.stop();
}

#[test]
fn what_a_dead_one_left_is_replaced_and_nothing_else_is() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let paths = ["stale", "live", "file", "link", "dangling"].map(|name| (name, place.path(name)));
    for (name, path) in &paths {
        place.service(name, &format!("cmd={server}\nlisten=unix:{path}\nbackoff=100ms\n"));
    }
    let [stale, live, file, link, dangling] = paths.map(|(_, path)| path);
    drop(UnixListener::bind(&stale).unwrap());
    let other = UnixListener::bind(&live).unwrap();
    fs::write(&file, "precious").unwrap();
    symlink(&file, &link).unwrap();
    symlink(place.path("nowhere"), &dangling).unwrap();
    let mut going = place.start(&[]);
    let in_use = format!("Can't listen on unix:{live}: Address *in use (live: listen, line 2)");
    let nothing = |name: &str, path: &str| {
        let why = "there is something else which is no socket of ours";
        format!("Can't listen on unix:{path}: {why} ({name}: listen, line 2)")
    };
    going.wait_for_all(&[
        "stale: started (pid *)",
        &in_use,
        &nothing("file", &file),
        &nothing("link", &link),
        &nothing("dangling", &dangling),
    ]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(!is_there(&place.path("nowhere")));
    talk(UnixStream::connect(&stale).unwrap()).unwrap();
    // Nobody was bothered by the question whether he lives.
    other.set_nonblocking(true).unwrap();
    assert!(other.accept().is_err());
    drop(other);
    // And when he is gone, nobody has to do anything.
    going.wait_started("live");
    fs::remove_file(&file).unwrap();
    going.wait_started("file");
    assert_eq!(going.count("*; strike *"), 0, "nobody is to blame");
    going.stop();
}

/// Strangers could swap the file between two looks at it.
#[test]
fn a_directory_open_to_all_will_not_do() {
    let place = Place::new();
    if !has_root() {
        return;
    }
    let Some(server) = server(&place) else { return };
    for (name, mode) in [("open", 0o777), ("sticky", 0o1777)] {
        place.make_dir(name);
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(mode)).unwrap();
        let path = place.path(&format!("{name}/s"));
        place.service(name, &format!("cmd={server}\nlisten=unix:{path}\nbackoff=100ms\n"));
    }
    let mut going = place.start(&[]);
    going.wait_for_all(&[
        "sticky: started (pid *)",
        "Can't listen on unix:*/open/s: everybody may write to its directory* (open: listen, line 2)",
    ]);
    assert!(!is_there(&place.path("open/s")));
    assert!(run(&["chmod", "o-w", &place.path("open")]).status.success());
    going.wait_started("open");
    going.stop();
}

/// What another has put in the place of our socket is not ours to remove.
#[test]
fn only_the_own_file_is_removed() {
    let place = Place::new();
    let Some(server) = server(&place) else { return };
    let path = place.path("s");
    place.service("web", &format!("cmd={server}\nlisten=unix:{path}\n"));
    let mut going = place.start(&[]);
    going.wait_started("web");
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    place.remove("web");
    going.wait_for("web: removed");
    assert!(is_there(&path));
    going.stop();
}
