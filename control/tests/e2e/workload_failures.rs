//! Workloads that do not behave: they crash, never get ready, do not want to
//! go, and leave their children behind.

use crate::support::{Reveille, Target};

/// Crashes unless the file `fixed` is there.
const CRASHES: &str =
    "[sh, -c, '[ -e fixed ] || { echo no database >&2; exit 3; }; exec python3 -B server.py']";

#[test]
fn a_crash_loop_is_told_at_once_and_forgotten_when_it_is_mended() {
    let reveille = Reveille::of(Target::new("web", CRASHES)).start();
    let client = reveille.client("web");
    // Held until the third failed start.
    let first = client.get("/");
    let reason = "default/web cannot be started (3 failed starts in a row): exit status: 3";
    assert_eq!((first.status, first.body), (503, format!("{reason}\n")));
    assert_eq!(
        first
            .headers
            .iter()
            .find(|h| h.0 == "retry-after")
            .map(|h| h.1.as_str()),
        Some("5")
    );
    let now = reveille.target("web");
    assert_eq!((now.state.as_str(), now.held), ("failing", 0));
    assert!(
        now.reason
            .expect("a reason")
            .contains("failed starts in a row): exit status: 3")
    );
    assert!(reveille.log().contains("no database"));
    // At once from now on: nobody else would end this wait.
    let second = client.get("/");
    assert_eq!(second.status, 503);
    assert!(second.body.contains("exit status: 3"), "{}", second.body);

    reveille.touch("fixed");
    reveille.until("web", "it recovers", |now| {
        // Somebody asks, so it is not put to sleep meanwhile.
        client.get("/");
        now.state == "warm"
    });
    let mended = client.get("/");
    assert_eq!((mended.status, mended.cold_start()), (200, Some("false")));
    reveille.stop();
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let reveille = Reveille::of(Target::new("web", "[no-such-program]")).start();
    let answer = reveille.client("web").get("/");
    assert_eq!(answer.status, 503);
    let reason = "default/web cannot be started (3 failed starts in a row): cannot be started: \
                  no-such-program: No such file or directory (os error 2)\n";
    assert_eq!(answer.body, reason);
}

#[test]
fn a_working_directory_that_does_not_exist_is_named() {
    let target = Target::python().process("workingDir: no/such/folder");
    let reveille = Reveille::of(target).start();
    let answer = reveille.client("web").get("/");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("no/such/folder"), "{}", answer.body);
}

#[test]
fn a_workload_that_never_gets_ready_is_ended_after_its_start_timeout() {
    let target = Target::new("web", "[sleep, '1000']").process("startTimeout: 100ms");
    let reveille = Reveille::of(target).start();
    let answer = reveille.client("web").get("/");
    let reason =
        "default/web cannot be started (3 failed starts in a row): not ready within 100ms\n";
    assert_eq!((answer.status, answer.body.as_str()), (503, reason));
    assert!(
        reveille.workloads().len() <= 1,
        "{:?}",
        reveille.workloads()
    );
    reveille.stop();
}

#[test]
fn who_ignores_sigterm_is_killed_after_the_grace_period() {
    let script =
        "import signal, server; signal.signal(signal.SIGTERM, signal.SIG_IGN); server.serve()";
    let target = Target::new("web", &format!("[python3, -B, -c, '{script}']"))
        .process("terminationGracePeriod: 200ms");
    let reveille = Reveille::of(target).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    reveille.until_asleep("web");
    reveille.until_workloads(0);
    reveille.until_logged("stopped");
    reveille.stop();
}

/// A shell with a child that ignores SIGTERM.
fn family(last_words: &str) -> Target {
    let script = format!("(trap \\\"\\\" TERM; sleep 1000 & wait; sleep 1000) & {last_words}");
    Target::new("web", &format!("[sh, -c, \"{script}\"]"))
}

#[test]
fn grandchildren_go_with_their_parent() {
    let reveille = Reveille::of(family("exec python3 -B server.py")).start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert!(reveille.workloads().len() >= 2);
    reveille.until_asleep("web");
    reveille.until_workloads(0);
    reveille.stop();
}

#[test]
fn grandchildren_of_a_parent_that_crashed_are_not_left_behind() {
    let reveille = Reveille::of(family("sleep 0.1; exit 1")).start();
    assert_eq!(reveille.client("web").get("/").status, 503);
    // Without requests it may sleep, and then nobody is left.
    reveille.until_asleep("web");
    reveille.until_workloads(0);
}
