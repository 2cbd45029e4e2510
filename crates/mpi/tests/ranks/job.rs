//! A test program under `mpirun`.

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Names the program that a rank is to run.
const PROGRAM: &str = "BATCH_NORM_RANK_PROGRAM";
/// No job takes longer: one that hangs would tell nothing. Longer than any rank waits for others.
const LIMIT: Duration = Duration::from_secs(400);
/// How long a job that is told to end may take to do so.
const END: Duration = Duration::from_secs(20);

/// What this process is to be a rank of, if it is one.
pub(crate) fn program() -> Option<String> {
    std::env::var(PROGRAM).ok()
}

/// So many ranks of a program; without `mpirun` if there are 0.
pub(crate) struct Job {
    program: &'static str,
    ranks: usize,
}

/// A job that has been started.
pub(crate) struct Running {
    job: Child,
    start: Instant,
    /// What it has written so far, errors among it.
    output: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
    took: Duration,
}

impl Job {
    pub(crate) fn new(program: &'static str, ranks: usize) -> Self {
        Self { program, ranks }
    }

    /// Fails unless every rank succeeds.
    pub(crate) fn succeeds(&self) -> Result<(), Failed> {
        let Ended { status, output, .. } = self.start()?.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{status}\n{output}").into()) }
    }

    /// Fails unless the job fails within `limit`, and says each of `words`.
    pub(crate) fn fails(&self, limit: Duration, words: &[&str]) -> Result<(), Failed> {
        let Ended { status, output, took } = self.start()?.wait()?;
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

    pub(crate) fn start(&self) -> Result<Running, Failed> {
        let own = std::env::current_exe()?;
        let mut command = match self.ranks {
            0 => Command::new(own),
            ranks => mpirun(ranks, own.as_os_str()),
        };
        command.env(PROGRAM, self.program).stdin(Stdio::null());
        let mut job = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let output = Arc::default();
        let readers = vec![collect(job.stdout.take(), &output), collect(job.stderr.take(), &output)];
        Ok(Running { job, start: Instant::now(), output, readers })
    }
}

impl Running {
    /// What it has written so far.
    fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits for its end; fails if that takes too long, with what it has written.
    fn wait(mut self) -> Result<Ended, Failed> {
        let Some(status) = self.ends_within(LIMIT)? else {
            let Ended { output, .. } = self.end()?;
            return Err(format!("the job takes longer than {LIMIT:?}\n{output}").into());
        };
        let took = self.start.elapsed();
        for reader in std::mem::take(&mut self.readers) {
            reader.join().map_err(|_| "a panic")?;
        }
        Ok(Ended { status, output: self.output(), took })
    }

    /// Waits until it has written each of `words`.
    pub(crate) fn says(&mut self, words: &[&str]) -> Result<(), Failed> {
        while !words.iter().all(|word| self.output().contains(word)) {
            if self.ends_within(Duration::from_millis(20))?.is_some() || self.start.elapsed() > LIMIT {
                return Err(format!("expected {words:?} in\n{}", self.output()).into());
            }
        }
        Ok(())
    }

    /// Ends it: `mpirun` has the time to end its ranks and to pass on what they have written.
    pub(crate) fn end(mut self) -> Result<Ended, Failed> {
        kill_process(Pid::from_child(&self.job), Signal::TERM)?;
        let status = match self.ends_within(END)? {
            Some(status) => status,
            None => {
                self.job.kill()?;
                self.job.wait()?
            }
        };
        Ok(Ended { status, output: self.output(), took: self.start.elapsed() })
    }

    fn ends_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>, Failed> {
        let start = Instant::now();
        loop {
            let status = self.job.try_wait()?;
            if status.is_some() || start.elapsed() >= limit {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
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
fn collect(pipe: Option<impl Read + Send + 'static>, output: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let output = output.clone();
    std::thread::spawn(move || {
        let (mut pipe, mut bytes) = (pipe, [0; 4096]);
        // What was read before an error is all there is to show.
        while let Some(count @ 1..) = pipe.as_mut().and_then(|pipe| pipe.read(&mut bytes).ok()) {
            output.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes.iter().take(count));
        }
    })
}
