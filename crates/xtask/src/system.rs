//! Which operating system this is, and what it takes to get on it what the commands need.

/// What a machine may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Adapter,
    /// Open MPI with its header, and clang.
    Mpi,
    /// Chromium, its driver, and Node.js.
    Browser,
}

/// What to do where it is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Install it with apt.
    Apt,
    /// The user has to do it: a sentence without its full stop.
    ByHand(String),
}

/// An operating system.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Linux, and the names of the distribution and of those it is like, the closest first.
    Linux(Vec<String>),
    /// Another one, by its name in `std::env::consts::OS`.
    Other(&'static str),
}

impl System {
    /// The one we run on.
    pub(crate) fn current() -> Self {
        if std::env::consts::OS != "linux" {
            return Self::Other(std::env::consts::OS);
        }
        // In this order, says os-release(5).
        let files = ["/etc/os-release", "/usr/lib/os-release"];
        let release = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
        Self::Linux(distributions(&release.unwrap_or_default()))
    }

    /// What to do where this system lacks what is wanted.
    pub(crate) fn remedy(&self, wanted: Wanted) -> Remedy {
        let advice = match self {
            Self::Linux(names) => {
                let known = names.iter().find_map(|name| known(name, wanted));
                return known.unwrap_or_else(|| unknown(wanted));
            }
            Self::Other("macos") if wanted == Wanted::Mpi => "Install them: brew install open-mpi llvm",
            Self::Other("macos") if wanted == Wanted::Browser => {
                "Install them: brew install node, brew install --cask google-chrome chromedriver"
            }
            Self::Other(_) if wanted != Wanted::Adapter => return unknown(wanted),
            Self::Other("macos") => {
                "macOS has Metal on every Mac: update macOS, or leave a virtual machine without Metal"
            }
            Self::Other("windows") => {
                "Windows 10 and 11 have the software adapter WARP of Direct3D 12: update Windows, or \
                 install your GPU's driver"
            }
            Self::Other(_) => "Install a Vulkan driver, for example Mesa's lavapipe, and the Vulkan loader",
        };
        Remedy::ByHand(advice.to_owned())
    }
}

/// What to do on a distribution of this name.
fn known(distribution: &str, wanted: Wanted) -> Option<Remedy> {
    let [adapter, mpi, browser] = match distribution {
        "ubuntu" if wanted == Wanted::Browser => return Some(Remedy::ByHand(UBUNTU_BROWSER.to_owned())),
        "debian" | "ubuntu" => return Some(Remedy::Apt),
        "fedora" | "rhel" | "centos" => [
            "dnf install mesa-vulkan-drivers vulkan-loader",
            "dnf install openmpi-devel clang",
            "dnf install chromium chromedriver nodejs npm",
        ],
        "arch" => [
            "pacman -S vulkan-swrast vulkan-icd-loader",
            "pacman -S openmpi clang",
            "pacman -S chromium nodejs npm",
        ],
        "alpine" => [
            "apk add mesa-vulkan-swrast vulkan-loader",
            "apk add openmpi-dev clang-dev",
            "apk add chromium chromium-chromedriver nodejs npm",
        ],
        "suse" | "opensuse" => [
            "zypper install libvulkan_lvp libvulkan1",
            "zypper install openmpi4-devel clang",
            "zypper install chromium chromedriver nodejs npm",
        ],
        _ => return None,
    };
    Some(Remedy::ByHand(match wanted {
        Wanted::Adapter => format!("Install Mesa's software adapter, as root: {adapter}"),
        Wanted::Mpi => format!("Install Open MPI and clang, as root: {mpi}"),
        Wanted::Browser => format!("Install Chromium, its driver and Node.js, as root: {browser}"),
    }))
}

/// There Debian's packages are empty ones that install a snap, which brings the driver under another name and sees no
/// hidden folders.
const UBUNTU_BROWSER: &str = "Ubuntu has Chromium as a snap only, and no package chromium-driver: install Google Chrome's \
     package, chromedriver of the same version (https://googlechromelabs.github.io/chrome-for-testing), and Node.js \
     (apt-get install nodejs npm)";

fn unknown(wanted: Wanted) -> Remedy {
    let advice = match wanted {
        Wanted::Adapter => {
            "Install the Vulkan loader (libvulkan.so.1) and a Vulkan driver: your GPU's, or Mesa's \
             software driver lavapipe"
        }
        Wanted::Mpi => "Install Open MPI 4 or newer with its compiler mpicc, and clang",
        Wanted::Browser => {
            "Install Chromium or Google Chrome, chromedriver of the same version, and Node.js 18 or newer"
        }
    };
    Remedy::ByHand(advice.to_owned())
}

/// The names in `ID` and `ID_LIKE` of an os-release file.
fn distributions(os_release: &str) -> Vec<String> {
    let value = |key: &str| {
        let lines = os_release.lines().filter_map(|line| line.trim().split_once('='));
        let mut values = lines.filter(|(name, _)| *name == key).map(|(_, value)| value);
        // The last of several counts, as in the shell that the format comes from.
        values.next_back().unwrap_or_default().trim_matches(['"', '\''])
    };
    [value("ID"), value("ID_LIKE")]
        .iter()
        .flat_map(|names| names.split_whitespace())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(os_release: &str) -> Remedy {
        System::Linux(distributions(os_release)).remedy(Wanted::Adapter)
    }

    #[test]
    fn os_release_is_read() {
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!(distributions(debian), ["debian"]);
        let mint = "# a comment\n\nID='linuxmint'\r\nID_LIKE=\"ubuntu debian\"";
        assert_eq!(distributions(mint), ["linuxmint", "ubuntu", "debian"]);
        assert_eq!(distributions("ID=first\nID=second"), ["second"]);
        assert!(distributions("VERSION_ID=12\nno assignment").is_empty());
    }

    #[test]
    fn what_mpi_takes_is_told_too() {
        let of = |os_release| System::Linux(distributions(os_release)).remedy(Wanted::Mpi);
        assert_eq!(of("ID=debian"), Remedy::Apt);
        let systems = [of("ID=fedora"), of("ID=void"), System::Other("macos").remedy(Wanted::Mpi)];
        for (remedy, part) in systems.iter().zip(["openmpi-devel", "mpicc", "open-mpi"]) {
            assert!(matches!(remedy, Remedy::ByHand(advice) if advice.contains(part)), "{remedy:?}");
        }
    }

    #[test]
    fn what_a_browser_takes_is_told_too() {
        let of = |os_release| System::Linux(distributions(os_release)).remedy(Wanted::Browser);
        assert_eq!(of("ID=debian"), Remedy::Apt);
        let systems = [
            of("ID=ubuntu\nID_LIKE=debian"),
            of("ID=fedora"),
            of("ID=void"),
            System::Other("macos").remedy(Wanted::Browser),
            System::Other("windows").remedy(Wanted::Browser),
        ];
        let parts = ["snap", "dnf install chromium", "chromedriver", "brew", "chromedriver"];
        for (remedy, part) in systems.iter().zip(parts) {
            assert!(matches!(remedy, Remedy::ByHand(advice) if advice.contains(part)), "{remedy:?}");
        }
    }

    #[test]
    fn debian_and_what_is_like_it_install() {
        for release in ["ID=debian", "ID=ubuntu\nID_LIKE=debian", "ID=pop\nID_LIKE=\"ubuntu debian\""] {
            assert_eq!(remedy(release), Remedy::Apt, "{release}");
        }
    }

    #[test]
    fn others_are_told_what_to_install() {
        for (release, command) in [
            ("ID=fedora", "dnf install mesa-vulkan-drivers"),
            ("ID=rocky\nID_LIKE=\"rhel centos fedora\"", "dnf install mesa-vulkan-drivers"),
            ("ID=arch", "pacman -S vulkan-swrast"),
            ("ID=alpine", "apk add mesa-vulkan-swrast"),
            ("ID=opensuse-leap\nID_LIKE=\"suse opensuse\"", "zypper install libvulkan_lvp"),
            ("ID=void", "libvulkan.so.1"),
            ("", "libvulkan.so.1"),
        ] {
            let remedy = remedy(release);
            assert!(matches!(&remedy, Remedy::ByHand(advice) if advice.contains(command)), "{remedy:?}");
        }
        for (name, part) in [("macos", "Metal"), ("windows", "WARP"), ("freebsd", "lavapipe")] {
            let remedy = System::Other(name).remedy(Wanted::Adapter);
            assert!(matches!(&remedy, Remedy::ByHand(advice) if advice.contains(part)), "{remedy:?}");
        }
    }
}
