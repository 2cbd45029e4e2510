//! A test program under `mpirun`.

use libtest_mimic::Failed;
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Names the program that a rank is to run.
const PROGRAM: &str = "BATCH_NORM_RANK_PROGRAM";
/// No job takes longer: one that hangs would tell nothing.
const LIMIT: Duration = Duration::from_secs(400);

/// What this process is to be a rank of, if it is one.
pub(crate) fn program() -> Option<String> {
    std::env::var(PROGRAM).ok()
}

/// So many ranks of a program; without `mpirun` if there are 0.
pub(crate) struct Job {
    program: &'static str,
    ranks: usize,
}

struct Ended {
    status: ExitStatus,
    output: String,
    took: Duration,
}

impl Job {
    pub(crate) fn new(program: &'static str, ranks: usize) -> Self {
        Self { program, ranks }
    }

    /// Fails unless every rank succeeds.
    pub(crate) fn succeeds(&self) -> Result<(), Failed> {
        let Ended { status, output, .. } = self.run()?;
        if status.success() { Ok(()) } else { Err(format!("{status}\n{output}").into()) }
    }

    /// Fails unless the job fails within `limit`, and says each of `words`.
    pub(crate) fn fails(&self, limit: Duration, words: &[&str]) -> Result<(), Failed> {
        let Ended { status, output, took } = self.run()?;
        if status.success() {
            return Err(format!("the job has succeeded\n{output}").into());
        }
        if took > limit {
            return Err(format!("the job took {took:?}, expected at most {limit:?}\n{output}").into());
        }
        match words.iter().find(|word| !output.contains(**word)) {
            None => Ok(()),
            Some(word) => Err(format!("expected {word:?} in\n{output}").into()),
        }
    }

    fn run(&self) -> Result<Ended, Failed> {
        let own = std::env::current_exe()?;
        let mut command = match self.ranks {
            0 => Command::new(own),
            ranks => mpirun(ranks, own.as_os_str()),
        };
        command.env(PROGRAM, self.program).stdin(Stdio::null());
        let mut job = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (out, err) = (collect(job.stdout.take()), collect(job.stderr.take()));
        let start = Instant::now();
        let status = loop {
            if let Some(status) = job.try_wait()? {
                break status;
            }
            if start.elapsed() > LIMIT {
                job.kill()?;
                return Err(
                    format!("{} of {} ranks takes longer than {LIMIT:?}", self.program, self.ranks).into()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let took = start.elapsed();
        let text = |thread: JoinHandle<String>| thread.join().unwrap_or_default();
        Ok(Ended { status, output: format!("{}{}", text(out), text(err)), took })
    }
}

/// More ranks than cores, as root too, which Open MPI wants to be told twice.
fn mpirun(ranks: usize, program: &OsStr) -> Command {
    let mut mpirun = Command::new("mpirun");
    mpirun.args(["-n", &ranks.to_string(), "--oversubscribe", "--bind-to", "none"]).arg(program);
    mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    mpirun
}

/// Reads in a thread of its own, so that no job waits for a full pipe.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is all there is to show.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
