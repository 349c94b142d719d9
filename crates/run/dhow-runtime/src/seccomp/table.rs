//! The system calls of x86-64, i386 and x32: names and numbers, and nothing else.
//!
//! Made from `asm/unistd_64.h`, `unistd_32.h` and `unistd_x32.h` of Linux 6.1 (Debian's linux-libc-dev 6.1.187), and for
//! what came after it, up to Linux 6.17, from the kernel's `syscall_64.tbl` and `syscall_32.tbl`: numbers 451 to 469 are the
//! same for all three, but that x32 has no map_shadow_stack, and uretprobe is 335 of x86-64 only. Compared with the
//! `syscalls.csv` of libseccomp 2.6.1 and after: it differs only in giving x32 those two. Names that have a number in a
//! header and no function in the kernel (`tuxcall`, `vserver`...) stay in, for profiles name them.
//!
//! To bring it up to date: new calls have had one number for all architectures since 403; add a row in its place by name
//! (a test proves the order). The last column is the i386 multiplexer: `socket(2)` can be reached there as
//! `socketcall(1, ...)` too, and `semop(2)` as `ipc(1, ...)`.

/// No such call there.
pub(super) const NONE: u16 = u16::MAX;

/// In [`Row::multiplexed`]: a call of socketcall(2).
pub(super) const SOCKETCALL: u16 = 0;

/// In [`Row::multiplexed`]: a call of ipc(2).
pub(super) const IPC: u16 = 100;

/// One system call. Numbers of x32 are without their bit 30.
#[derive(Debug)]
pub(super) struct Row {
    name: Name,
    pub(super) x86_64: u16,
    pub(super) i386: u16,
    pub(super) x32: u16,
    /// [`SOCKETCALL`] or [`IPC`] plus the number that i386 has for it there.
    pub(super) multiplexed: u16,
}

/// A name, in its place in a table and not behind a pointer: pointers are relocated at every start of the program, and the
/// memory that they are in is each supervisor's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    bytes: [u8; NAME_MAX],
    length: u8,
}

/// Room for the longest of the names; a longer one does not compile.
const NAME_MAX: usize = 29;

impl Name {
    pub(super) const fn new(text: &str) -> Name {
        let text = text.as_bytes();
        let mut bytes = [0; NAME_MAX];
        let mut at = 0;
        while at < text.len() {
            bytes[at] = text[at];
            at += 1;
        }
        Name { bytes, length: text.len() as u8 }
    }

    pub(super) const fn text(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.length as usize).0) {
            Ok(text) => text,
            Err(_) => panic!("it was text when it was made"),
        }
    }
}

impl Row {
    pub(super) const fn name(&self) -> &str {
        self.name.text()
    }
}

const fn r(name: &str, x86_64: u16, i386: u16, x32: u16, multiplexed: u16) -> Row {
    Row { name: Name::new(name), x86_64, i386, x32, multiplexed }
}

/// All of them, sorted by name.
#[rustfmt::skip]
pub(super) static CALLS: [Row; 471] = [
    r("_llseek", NONE, 140, NONE, NONE), r("_newselect", NONE, 142, NONE, NONE), r("_sysctl", 156, 149, NONE, NONE),
    r("accept", 43, NONE, 43, SOCKETCALL + 5), r("accept4", 288, 364, 288, SOCKETCALL + 18),
    r("access", 21, 33, 21, NONE), r("acct", 163, 51, 163, NONE), r("add_key", 248, 286, 248, NONE),
    r("adjtimex", 159, 124, 159, NONE), r("afs_syscall", 183, 137, 183, NONE), r("alarm", 37, 27, 37, NONE),
    r("arch_prctl", 158, 384, 158, NONE), r("bdflush", NONE, 134, NONE, NONE), r("bind", 49, 361, 49, SOCKETCALL + 2),
    r("bpf", 321, 357, 321, NONE), r("break", NONE, 17, NONE, NONE), r("brk", 12, 45, 12, NONE),
    r("cachestat", 451, 451, 451, NONE), r("capget", 125, 184, 125, NONE), r("capset", 126, 185, 126, NONE),
    r("chdir", 80, 12, 80, NONE), r("chmod", 90, 15, 90, NONE), r("chown", 92, 182, 92, NONE),
    r("chown32", NONE, 212, NONE, NONE), r("chroot", 161, 61, 161, NONE), r("clock_adjtime", 305, 343, 305, NONE),
    r("clock_adjtime64", NONE, 405, NONE, NONE), r("clock_getres", 229, 266, 229, NONE),
    r("clock_getres_time64", NONE, 406, NONE, NONE), r("clock_gettime", 228, 265, 228, NONE),
    r("clock_gettime64", NONE, 403, NONE, NONE), r("clock_nanosleep", 230, 267, 230, NONE),
    r("clock_nanosleep_time64", NONE, 407, NONE, NONE), r("clock_settime", 227, 264, 227, NONE),
    r("clock_settime64", NONE, 404, NONE, NONE), r("clone", 56, 120, 56, NONE), r("clone3", 435, 435, 435, NONE),
    r("close", 3, 6, 3, NONE), r("close_range", 436, 436, 436, NONE), r("connect", 42, 362, 42, SOCKETCALL + 3),
    r("copy_file_range", 326, 377, 326, NONE), r("creat", 85, 8, 85, NONE), r("create_module", 174, 127, NONE, NONE),
    r("delete_module", 176, 129, 176, NONE), r("dup", 32, 41, 32, NONE), r("dup2", 33, 63, 33, NONE),
    r("dup3", 292, 330, 292, NONE), r("epoll_create", 213, 254, 213, NONE), r("epoll_create1", 291, 329, 291, NONE),
    r("epoll_ctl", 233, 255, 233, NONE), r("epoll_ctl_old", 214, NONE, NONE, NONE),
    r("epoll_pwait", 281, 319, 281, NONE), r("epoll_pwait2", 441, 441, 441, NONE),
    r("epoll_wait", 232, 256, 232, NONE), r("epoll_wait_old", 215, NONE, NONE, NONE),
    r("eventfd", 284, 323, 284, NONE), r("eventfd2", 290, 328, 290, NONE), r("execve", 59, 11, 520, NONE),
    r("execveat", 322, 358, 545, NONE), r("exit", 60, 1, 60, NONE), r("exit_group", 231, 252, 231, NONE),
    r("faccessat", 269, 307, 269, NONE), r("faccessat2", 439, 439, 439, NONE), r("fadvise64", 221, 250, 221, NONE),
    r("fadvise64_64", NONE, 272, NONE, NONE), r("fallocate", 285, 324, 285, NONE),
    r("fanotify_init", 300, 338, 300, NONE), r("fanotify_mark", 301, 339, 301, NONE), r("fchdir", 81, 133, 81, NONE),
    r("fchmod", 91, 94, 91, NONE), r("fchmodat", 268, 306, 268, NONE), r("fchmodat2", 452, 452, 452, NONE),
    r("fchown", 93, 95, 93, NONE), r("fchown32", NONE, 207, NONE, NONE), r("fchownat", 260, 298, 260, NONE),
    r("fcntl", 72, 55, 72, NONE), r("fcntl64", NONE, 221, NONE, NONE), r("fdatasync", 75, 148, 75, NONE),
    r("fgetxattr", 193, 231, 193, NONE), r("file_getattr", 468, 468, 468, NONE),
    r("file_setattr", 469, 469, 469, NONE), r("finit_module", 313, 350, 313, NONE),
    r("flistxattr", 196, 234, 196, NONE), r("flock", 73, 143, 73, NONE), r("fork", 57, 2, 57, NONE),
    r("fremovexattr", 199, 237, 199, NONE), r("fsconfig", 431, 431, 431, NONE), r("fsetxattr", 190, 228, 190, NONE),
    r("fsmount", 432, 432, 432, NONE), r("fsopen", 430, 430, 430, NONE), r("fspick", 433, 433, 433, NONE),
    r("fstat", 5, 108, 5, NONE), r("fstat64", NONE, 197, NONE, NONE), r("fstatat64", NONE, 300, NONE, NONE),
    r("fstatfs", 138, 100, 138, NONE), r("fstatfs64", NONE, 269, NONE, NONE), r("fsync", 74, 118, 74, NONE),
    r("ftime", NONE, 35, NONE, NONE), r("ftruncate", 77, 93, 77, NONE), r("ftruncate64", NONE, 194, NONE, NONE),
    r("futex", 202, 240, 202, NONE), r("futex_requeue", 456, 456, 456, NONE),
    r("futex_time64", NONE, 422, NONE, NONE), r("futex_wait", 455, 455, 455, NONE),
    r("futex_waitv", 449, 449, 449, NONE), r("futex_wake", 454, 454, 454, NONE), r("futimesat", 261, 299, 261, NONE),
    r("get_kernel_syms", 177, 130, NONE, NONE), r("get_mempolicy", 239, 275, 239, NONE),
    r("get_robust_list", 274, 312, 531, NONE), r("get_thread_area", 211, 244, NONE, NONE),
    r("getcpu", 309, 318, 309, NONE), r("getcwd", 79, 183, 79, NONE), r("getdents", 78, 141, 78, NONE),
    r("getdents64", 217, 220, 217, NONE), r("getegid", 108, 50, 108, NONE), r("getegid32", NONE, 202, NONE, NONE),
    r("geteuid", 107, 49, 107, NONE), r("geteuid32", NONE, 201, NONE, NONE), r("getgid", 104, 47, 104, NONE),
    r("getgid32", NONE, 200, NONE, NONE), r("getgroups", 115, 80, 115, NONE), r("getgroups32", NONE, 205, NONE, NONE),
    r("getitimer", 36, 105, 36, NONE), r("getpeername", 52, 368, 52, SOCKETCALL + 7),
    r("getpgid", 121, 132, 121, NONE), r("getpgrp", 111, 65, 111, NONE), r("getpid", 39, 20, 39, NONE),
    r("getpmsg", 181, 188, 181, NONE), r("getppid", 110, 64, 110, NONE), r("getpriority", 140, 96, 140, NONE),
    r("getrandom", 318, 355, 318, NONE), r("getresgid", 120, 171, 120, NONE), r("getresgid32", NONE, 211, NONE, NONE),
    r("getresuid", 118, 165, 118, NONE), r("getresuid32", NONE, 209, NONE, NONE), r("getrlimit", 97, 76, 97, NONE),
    r("getrusage", 98, 77, 98, NONE), r("getsid", 124, 147, 124, NONE), r("getsockname", 51, 367, 51, SOCKETCALL + 6),
    r("getsockopt", 55, 365, 542, SOCKETCALL + 15), r("gettid", 186, 224, 186, NONE),
    r("gettimeofday", 96, 78, 96, NONE), r("getuid", 102, 24, 102, NONE), r("getuid32", NONE, 199, NONE, NONE),
    r("getxattr", 191, 229, 191, NONE), r("getxattrat", 464, 464, 464, NONE), r("gtty", NONE, 32, NONE, NONE),
    r("idle", NONE, 112, NONE, NONE), r("init_module", 175, 128, 175, NONE),
    r("inotify_add_watch", 254, 292, 254, NONE), r("inotify_init", 253, 291, 253, NONE),
    r("inotify_init1", 294, 332, 294, NONE), r("inotify_rm_watch", 255, 293, 255, NONE),
    r("io_cancel", 210, 249, 210, NONE), r("io_destroy", 207, 246, 207, NONE), r("io_getevents", 208, 247, 208, NONE),
    r("io_pgetevents", 333, 385, 333, NONE), r("io_pgetevents_time64", NONE, 416, NONE, NONE),
    r("io_setup", 206, 245, 543, NONE), r("io_submit", 209, 248, 544, NONE), r("io_uring_enter", 426, 426, 426, NONE),
    r("io_uring_register", 427, 427, 427, NONE), r("io_uring_setup", 425, 425, 425, NONE),
    r("ioctl", 16, 54, 514, NONE), r("ioperm", 173, 101, 173, NONE), r("iopl", 172, 110, 172, NONE),
    r("ioprio_get", 252, 290, 252, NONE), r("ioprio_set", 251, 289, 251, NONE), r("ipc", NONE, 117, NONE, NONE),
    r("kcmp", 312, 349, 312, NONE), r("kexec_file_load", 320, NONE, 320, NONE), r("kexec_load", 246, 283, 528, NONE),
    r("keyctl", 250, 288, 250, NONE), r("kill", 62, 37, 62, NONE), r("landlock_add_rule", 445, 445, 445, NONE),
    r("landlock_create_ruleset", 444, 444, 444, NONE), r("landlock_restrict_self", 446, 446, 446, NONE),
    r("lchown", 94, 16, 94, NONE), r("lchown32", NONE, 198, NONE, NONE), r("lgetxattr", 192, 230, 192, NONE),
    r("link", 86, 9, 86, NONE), r("linkat", 265, 303, 265, NONE), r("listen", 50, 363, 50, SOCKETCALL + 4),
    r("listmount", 458, 458, 458, NONE), r("listxattr", 194, 232, 194, NONE), r("listxattrat", 465, 465, 465, NONE),
    r("llistxattr", 195, 233, 195, NONE), r("lock", NONE, 53, NONE, NONE), r("lookup_dcookie", 212, 253, 212, NONE),
    r("lremovexattr", 198, 236, 198, NONE), r("lseek", 8, 19, 8, NONE), r("lsetxattr", 189, 227, 189, NONE),
    r("lsm_get_self_attr", 459, 459, 459, NONE), r("lsm_list_modules", 461, 461, 461, NONE),
    r("lsm_set_self_attr", 460, 460, 460, NONE), r("lstat", 6, 107, 6, NONE), r("lstat64", NONE, 196, NONE, NONE),
    r("madvise", 28, 219, 28, NONE), r("map_shadow_stack", 453, 453, NONE, NONE), r("mbind", 237, 274, 237, NONE),
    r("membarrier", 324, 375, 324, NONE), r("memfd_create", 319, 356, 319, NONE),
    r("memfd_secret", 447, 447, 447, NONE), r("migrate_pages", 256, 294, 256, NONE), r("mincore", 27, 218, 27, NONE),
    r("mkdir", 83, 39, 83, NONE), r("mkdirat", 258, 296, 258, NONE), r("mknod", 133, 14, 133, NONE),
    r("mknodat", 259, 297, 259, NONE), r("mlock", 149, 150, 149, NONE), r("mlock2", 325, 376, 325, NONE),
    r("mlockall", 151, 152, 151, NONE), r("mmap", 9, 90, 9, NONE), r("mmap2", NONE, 192, NONE, NONE),
    r("modify_ldt", 154, 123, 154, NONE), r("mount", 165, 21, 165, NONE), r("mount_setattr", 442, 442, 442, NONE),
    r("move_mount", 429, 429, 429, NONE), r("move_pages", 279, 317, 533, NONE), r("mprotect", 10, 125, 10, NONE),
    r("mpx", NONE, 56, NONE, NONE), r("mq_getsetattr", 245, 282, 245, NONE), r("mq_notify", 244, 281, 527, NONE),
    r("mq_open", 240, 277, 240, NONE), r("mq_timedreceive", 243, 280, 243, NONE),
    r("mq_timedreceive_time64", NONE, 419, NONE, NONE), r("mq_timedsend", 242, 279, 242, NONE),
    r("mq_timedsend_time64", NONE, 418, NONE, NONE), r("mq_unlink", 241, 278, 241, NONE),
    r("mremap", 25, 163, 25, NONE), r("mseal", 462, 462, 462, NONE), r("msgctl", 71, 402, 71, IPC + 14),
    r("msgget", 68, 399, 68, IPC + 13), r("msgrcv", 70, 401, 70, IPC + 12), r("msgsnd", 69, 400, 69, IPC + 11),
    r("msync", 26, 144, 26, NONE), r("munlock", 150, 151, 150, NONE), r("munlockall", 152, 153, 152, NONE),
    r("munmap", 11, 91, 11, NONE), r("name_to_handle_at", 303, 341, 303, NONE), r("nanosleep", 35, 162, 35, NONE),
    r("newfstatat", 262, NONE, 262, NONE), r("nfsservctl", 180, 169, NONE, NONE), r("nice", NONE, 34, NONE, NONE),
    r("oldfstat", NONE, 28, NONE, NONE), r("oldlstat", NONE, 84, NONE, NONE), r("oldolduname", NONE, 59, NONE, NONE),
    r("oldstat", NONE, 18, NONE, NONE), r("olduname", NONE, 109, NONE, NONE), r("open", 2, 5, 2, NONE),
    r("open_by_handle_at", 304, 342, 304, NONE), r("open_tree", 428, 428, 428, NONE),
    r("open_tree_attr", 467, 467, 467, NONE), r("openat", 257, 295, 257, NONE), r("openat2", 437, 437, 437, NONE),
    r("pause", 34, 29, 34, NONE), r("perf_event_open", 298, 336, 298, NONE), r("personality", 135, 136, 135, NONE),
    r("pidfd_getfd", 438, 438, 438, NONE), r("pidfd_open", 434, 434, 434, NONE),
    r("pidfd_send_signal", 424, 424, 424, NONE), r("pipe", 22, 42, 22, NONE), r("pipe2", 293, 331, 293, NONE),
    r("pivot_root", 155, 217, 155, NONE), r("pkey_alloc", 330, 381, 330, NONE), r("pkey_free", 331, 382, 331, NONE),
    r("pkey_mprotect", 329, 380, 329, NONE), r("poll", 7, 168, 7, NONE), r("ppoll", 271, 309, 271, NONE),
    r("ppoll_time64", NONE, 414, NONE, NONE), r("prctl", 157, 172, 157, NONE), r("pread64", 17, 180, 17, NONE),
    r("preadv", 295, 333, 534, NONE), r("preadv2", 327, 378, 546, NONE), r("prlimit64", 302, 340, 302, NONE),
    r("process_madvise", 440, 440, 440, NONE), r("process_mrelease", 448, 448, 448, NONE),
    r("process_vm_readv", 310, 347, 539, NONE), r("process_vm_writev", 311, 348, 540, NONE),
    r("prof", NONE, 44, NONE, NONE), r("profil", NONE, 98, NONE, NONE), r("pselect6", 270, 308, 270, NONE),
    r("pselect6_time64", NONE, 413, NONE, NONE), r("ptrace", 101, 26, 521, NONE), r("putpmsg", 182, 189, 182, NONE),
    r("pwrite64", 18, 181, 18, NONE), r("pwritev", 296, 334, 535, NONE), r("pwritev2", 328, 379, 547, NONE),
    r("query_module", 178, 167, NONE, NONE), r("quotactl", 179, 131, 179, NONE),
    r("quotactl_fd", 443, 443, 443, NONE), r("read", 0, 3, 0, NONE), r("readahead", 187, 225, 187, NONE),
    r("readdir", NONE, 89, NONE, NONE), r("readlink", 89, 85, 89, NONE), r("readlinkat", 267, 305, 267, NONE),
    r("readv", 19, 145, 515, NONE), r("reboot", 169, 88, 169, NONE), r("recv", NONE, NONE, NONE, SOCKETCALL + 10),
    r("recvfrom", 45, 371, 517, SOCKETCALL + 12), r("recvmmsg", 299, 337, 537, SOCKETCALL + 19),
    r("recvmmsg_time64", NONE, 417, NONE, NONE), r("recvmsg", 47, 372, 519, SOCKETCALL + 17),
    r("remap_file_pages", 216, 257, 216, NONE), r("removexattr", 197, 235, 197, NONE),
    r("removexattrat", 466, 466, 466, NONE), r("rename", 82, 38, 82, NONE), r("renameat", 264, 302, 264, NONE),
    r("renameat2", 316, 353, 316, NONE), r("request_key", 249, 287, 249, NONE),
    r("restart_syscall", 219, 0, 219, NONE), r("rmdir", 84, 40, 84, NONE), r("rseq", 334, 386, 334, NONE),
    r("rt_sigaction", 13, 174, 512, NONE), r("rt_sigpending", 127, 176, 522, NONE),
    r("rt_sigprocmask", 14, 175, 14, NONE), r("rt_sigqueueinfo", 129, 178, 524, NONE),
    r("rt_sigreturn", 15, 173, 513, NONE), r("rt_sigsuspend", 130, 179, 130, NONE),
    r("rt_sigtimedwait", 128, 177, 523, NONE), r("rt_sigtimedwait_time64", NONE, 421, NONE, NONE),
    r("rt_tgsigqueueinfo", 297, 335, 536, NONE), r("sched_get_priority_max", 146, 159, 146, NONE),
    r("sched_get_priority_min", 147, 160, 147, NONE), r("sched_getaffinity", 204, 242, 204, NONE),
    r("sched_getattr", 315, 352, 315, NONE), r("sched_getparam", 143, 155, 143, NONE),
    r("sched_getscheduler", 145, 157, 145, NONE), r("sched_rr_get_interval", 148, 161, 148, NONE),
    r("sched_rr_get_interval_time64", NONE, 423, NONE, NONE), r("sched_setaffinity", 203, 241, 203, NONE),
    r("sched_setattr", 314, 351, 314, NONE), r("sched_setparam", 142, 154, 142, NONE),
    r("sched_setscheduler", 144, 156, 144, NONE), r("sched_yield", 24, 158, 24, NONE),
    r("seccomp", 317, 354, 317, NONE), r("security", 185, NONE, 185, NONE), r("select", 23, 82, 23, NONE),
    r("semctl", 66, 394, 66, IPC + 3), r("semget", 64, 393, 64, IPC + 2), r("semop", 65, NONE, 65, IPC + 1),
    r("semtimedop", 220, NONE, 220, IPC + 4), r("semtimedop_time64", NONE, 420, NONE, NONE),
    r("send", NONE, NONE, NONE, SOCKETCALL + 9), r("sendfile", 40, 187, 40, NONE),
    r("sendfile64", NONE, 239, NONE, NONE), r("sendmmsg", 307, 345, 538, SOCKETCALL + 20),
    r("sendmsg", 46, 370, 518, SOCKETCALL + 16), r("sendto", 44, 369, 44, SOCKETCALL + 11),
    r("set_mempolicy", 238, 276, 238, NONE), r("set_mempolicy_home_node", 450, 450, 450, NONE),
    r("set_robust_list", 273, 311, 530, NONE), r("set_thread_area", 205, 243, NONE, NONE),
    r("set_tid_address", 218, 258, 218, NONE), r("setdomainname", 171, 121, 171, NONE),
    r("setfsgid", 123, 139, 123, NONE), r("setfsgid32", NONE, 216, NONE, NONE), r("setfsuid", 122, 138, 122, NONE),
    r("setfsuid32", NONE, 215, NONE, NONE), r("setgid", 106, 46, 106, NONE), r("setgid32", NONE, 214, NONE, NONE),
    r("setgroups", 116, 81, 116, NONE), r("setgroups32", NONE, 206, NONE, NONE), r("sethostname", 170, 74, 170, NONE),
    r("setitimer", 38, 104, 38, NONE), r("setns", 308, 346, 308, NONE), r("setpgid", 109, 57, 109, NONE),
    r("setpriority", 141, 97, 141, NONE), r("setregid", 114, 71, 114, NONE), r("setregid32", NONE, 204, NONE, NONE),
    r("setresgid", 119, 170, 119, NONE), r("setresgid32", NONE, 210, NONE, NONE), r("setresuid", 117, 164, 117, NONE),
    r("setresuid32", NONE, 208, NONE, NONE), r("setreuid", 113, 70, 113, NONE),
    r("setreuid32", NONE, 203, NONE, NONE), r("setrlimit", 160, 75, 160, NONE), r("setsid", 112, 66, 112, NONE),
    r("setsockopt", 54, 366, 541, SOCKETCALL + 14), r("settimeofday", 164, 79, 164, NONE),
    r("setuid", 105, 23, 105, NONE), r("setuid32", NONE, 213, NONE, NONE), r("setxattr", 188, 226, 188, NONE),
    r("setxattrat", 463, 463, 463, NONE), r("sgetmask", NONE, 68, NONE, NONE), r("shmat", 30, 397, 30, IPC + 21),
    r("shmctl", 31, 396, 31, IPC + 24), r("shmdt", 67, 398, 67, IPC + 22), r("shmget", 29, 395, 29, IPC + 23),
    r("shutdown", 48, 373, 48, SOCKETCALL + 13), r("sigaction", NONE, 67, NONE, NONE),
    r("sigaltstack", 131, 186, 525, NONE), r("signal", NONE, 48, NONE, NONE), r("signalfd", 282, 321, 282, NONE),
    r("signalfd4", 289, 327, 289, NONE), r("sigpending", NONE, 73, NONE, NONE),
    r("sigprocmask", NONE, 126, NONE, NONE), r("sigreturn", NONE, 119, NONE, NONE),
    r("sigsuspend", NONE, 72, NONE, NONE), r("socket", 41, 359, 41, SOCKETCALL + 1),
    r("socketcall", NONE, 102, NONE, NONE), r("socketpair", 53, 360, 53, SOCKETCALL + 8),
    r("splice", 275, 313, 275, NONE), r("ssetmask", NONE, 69, NONE, NONE), r("stat", 4, 106, 4, NONE),
    r("stat64", NONE, 195, NONE, NONE), r("statfs", 137, 99, 137, NONE), r("statfs64", NONE, 268, NONE, NONE),
    r("statmount", 457, 457, 457, NONE), r("statx", 332, 383, 332, NONE), r("stime", NONE, 25, NONE, NONE),
    r("stty", NONE, 31, NONE, NONE), r("swapoff", 168, 115, 168, NONE), r("swapon", 167, 87, 167, NONE),
    r("symlink", 88, 83, 88, NONE), r("symlinkat", 266, 304, 266, NONE), r("sync", 162, 36, 162, NONE),
    r("sync_file_range", 277, 314, 277, NONE), r("syncfs", 306, 344, 306, NONE), r("sysfs", 139, 135, 139, NONE),
    r("sysinfo", 99, 116, 99, NONE), r("syslog", 103, 103, 103, NONE), r("tee", 276, 315, 276, NONE),
    r("tgkill", 234, 270, 234, NONE), r("time", 201, 13, 201, NONE), r("timer_create", 222, 259, 526, NONE),
    r("timer_delete", 226, 263, 226, NONE), r("timer_getoverrun", 225, 262, 225, NONE),
    r("timer_gettime", 224, 261, 224, NONE), r("timer_gettime64", NONE, 408, NONE, NONE),
    r("timer_settime", 223, 260, 223, NONE), r("timer_settime64", NONE, 409, NONE, NONE),
    r("timerfd_create", 283, 322, 283, NONE), r("timerfd_gettime", 287, 326, 287, NONE),
    r("timerfd_gettime64", NONE, 410, NONE, NONE), r("timerfd_settime", 286, 325, 286, NONE),
    r("timerfd_settime64", NONE, 411, NONE, NONE), r("times", 100, 43, 100, NONE), r("tkill", 200, 238, 200, NONE),
    r("truncate", 76, 92, 76, NONE), r("truncate64", NONE, 193, NONE, NONE), r("tuxcall", 184, NONE, 184, NONE),
    r("ugetrlimit", NONE, 191, NONE, NONE), r("ulimit", NONE, 58, NONE, NONE), r("umask", 95, 60, 95, NONE),
    r("umount", NONE, 22, NONE, NONE), r("umount2", 166, 52, 166, NONE), r("uname", 63, 122, 63, NONE),
    r("unlink", 87, 10, 87, NONE), r("unlinkat", 263, 301, 263, NONE), r("unshare", 272, 310, 272, NONE),
    r("uretprobe", 335, NONE, NONE, NONE), r("uselib", 134, 86, NONE, NONE), r("userfaultfd", 323, 374, 323, NONE),
    r("ustat", 136, 62, 136, NONE), r("utime", 132, 30, 132, NONE), r("utimensat", 280, 320, 280, NONE),
    r("utimensat_time64", NONE, 412, NONE, NONE), r("utimes", 235, 271, 235, NONE), r("vfork", 58, 190, 58, NONE),
    r("vhangup", 153, 111, 153, NONE), r("vm86", NONE, 166, NONE, NONE), r("vm86old", NONE, 113, NONE, NONE),
    r("vmsplice", 278, 316, 532, NONE), r("vserver", 236, 273, NONE, NONE), r("wait4", 61, 114, 61, NONE),
    r("waitid", 247, 284, 529, NONE), r("waitpid", NONE, 7, NONE, NONE), r("write", 1, 4, 1, NONE),
    r("writev", 20, 146, 516, NONE),
];
