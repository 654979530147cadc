//! Containers whose programs do not run on this kernel: what is seen from here is the sandbox, not the program.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a container runs in, when it is not this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sandbox {
    /// A kernel in user space.
    GVisor,
    /// A virtual machine.
    VirtualMachine,
}

/// Names of gVisor's program.
const GVISOR: [&str; 2] = ["runsc", "runsc-sandbox"];
/// Programs that run a virtual machine for a container.
const MACHINES: [&str; 5] = ["qemu-system", "qemu-kvm", "firecracker", "cloud-hypervisor", "dragonball"];

/// What the processes with these numbers run in; `proc` is where procfs is mounted.
///
/// One gVisor process is enough. A virtual machine counts only when nothing else is there: a pod may well run one as its
/// own program, beside others that can be watched.
pub(crate) fn sandbox(proc: &Path, pids: &[u32]) -> Option<Sandbox> {
    let programs: Vec<String> = pids.iter().filter_map(|pid| program(proc, *pid)).collect();
    let is = |program: &String, names: &[&str]| names.iter().any(|name| program.starts_with(name));
    if programs.iter().any(|program| is(program, &GVISOR)) {
        return Some(Sandbox::GVisor);
    }
    let machines = !programs.is_empty() && programs.iter().all(|program| is(program, &MACHINES));
    machines.then_some(Sandbox::VirtualMachine)
}

/// Name of the file that a process runs.
fn program(proc: &Path, pid: u32) -> Option<String> {
    let path: PathBuf = fs::read_link(proc.join(pid.to_string()).join("exe")).ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(programs: &[&str]) -> Option<Sandbox> {
        let proc = tempfile::tempdir().unwrap();
        for (pid, program) in programs.iter().enumerate() {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir(&folder).unwrap();
            symlink(program, folder.join("exe")).unwrap();
        }
        let pids: Vec<u32> = (0..u32::try_from(programs.len()).unwrap()).collect();
        sandbox(proc.path(), &pids)
    }

    #[test]
    fn sandboxes_are_known_by_their_programs() {
        assert_eq!(found(&["/usr/local/bin/runsc", "/app"]), Some(Sandbox::GVisor));
        assert_eq!(found(&["/usr/local/bin/runsc (deleted)"]), Some(Sandbox::GVisor));
        for machine in
            ["/usr/bin/qemu-system-x86_64", "/opt/kata/bin/firecracker", "/opt/kata/bin/cloud-hypervisor"]
        {
            assert_eq!(found(&[machine]), Some(Sandbox::VirtualMachine), "{machine}");
        }
    }

    #[test]
    fn programs_on_this_kernel_are_in_none() {
        assert_eq!(found(&["/usr/bin/virt-launcher", "/usr/bin/qemu-system-x86_64"]), None);
        assert_eq!(found(&["/app/server"]), None);
        assert_eq!(found(&[]), None);
        assert_eq!(sandbox(Path::new("/proc"), &[std::process::id()]), None);
    }
}
