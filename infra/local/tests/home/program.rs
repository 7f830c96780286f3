use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const TEMPLATE: &str = "
Resources:
  Work: {Type: AWS::SQS::Queue, Properties: {QueueName: work}}
";

struct Program {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing to do for one that has ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }
}

fn start(data: &Path, listen: &str) -> Program {
    let template = data.with_extension("yaml");
    std::fs::write(&template, TEMPLATE).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tessera"))
        .args(["--listen", listen, "--data"])
        .arg(data)
        .arg("--template")
        .arg(template)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    Program { child, lines }
}

impl Program {
    /// The address in the banner.
    fn address(&mut self) -> String {
        let mut said = String::new();
        for line in self.lines.by_ref().lines() {
            let line = line.unwrap();
            if let Some(url) = line.trim().strip_prefix("API ").filter(|rest| rest.trim().starts_with("http"))
            {
                return url.trim().trim_start_matches("http://").to_owned();
            }
            said.push_str(&line);
        }
        panic!("no banner: {said}");
    }

    fn terminate(mut self) -> bool {
        let killed = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        // Read on, or a full pipe would hold the program up.
        std::io::copy(&mut self.lines, &mut std::io::sink()).unwrap();
        self.child.wait().unwrap().success()
    }
}

#[tokio::test]
async fn the_program_says_where_it_is_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = start(&folder.path().join("data"), "127.0.0.1:0");
    let address = program.address();
    let health = reqwest::get(format!("http://{address}/_local/health")).await.unwrap();
    assert_eq!(health.text().await.unwrap(), r#"{"status":"ok"}"#);

    let mut second = start(&folder.path().join("other"), &address);
    let mut said = String::new();
    second.lines.read_to_string(&mut said).unwrap();
    assert!(!second.child.wait().unwrap().success());
    assert!(said.contains(&format!("{address} is in use")), "{said}");

    assert!(program.terminate());
    // What it kept is no hindrance to the next.
    let mut again = start(&folder.path().join("data"), "127.0.0.1:0");
    again.address();
    assert!(again.terminate());
}

#[tokio::test]
async fn a_killed_program_leaves_a_folder_that_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = start(&folder.path().join("data"), "127.0.0.1:0");
    program.address();
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let mut again = start(&folder.path().join("data"), "127.0.0.1:0");
    again.address();
    assert!(again.terminate());
}
