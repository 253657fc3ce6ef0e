//! Completions are what the shells take.

use super::Shell;

#[test]
fn shells_take_them() {
    let shell = Shell::at("127.0.0.1:1".parse().unwrap(), "t");
    for (name, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let ran = shell.run(&["completions", name]);
        let script = ran.good();
        for word in ["set-log-level", "token-file", "grpc-sync-tokens", "file-data-source", "healthcheck", "dry-run"] {
            assert!(script.contains(word), "{name} knows no {word}");
        }
        std::fs::write(shell.path("script"), script).unwrap();
        let Ok(output) = shell.command(name).arg(check).arg("script").output() else { continue };
        assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
    }
    assert_eq!(shell.run(&["completions", "tcsh"]).code, 64);
    // What bash would offer after `ff-relay ins`.
    let line = r#"source ./script.bash
        offer=$(complete -p ff-relay | grep -o -- '-F [^ ]*' | cut -c4-)
        COMP_WORDS=(ff-relay ins); COMP_CWORD=1; $offer ff-relay ins ff-relay; echo "${COMPREPLY[@]}""#;
    std::fs::write(shell.path("script.bash"), shell.run(&["completions", "bash"]).good()).unwrap();
    let output = shell.command("bash").args(["-c", line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "inspect", "{output:?}");
}
