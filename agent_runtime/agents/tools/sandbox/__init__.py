"""Runs Python code that nobody vouches for, in a process that reaches neither the network nor this machine's files.

What the sandbox guarantees on Linux, where a user may make namespaces (``isolation`` of a result is ``namespaces``):

- No network: a network namespace of its own, without so much as a loopback.
- No files of this machine but the system's programs and libraries (``/usr``, ``/lib*``), the Python installation and,
  for tests, the installed packages, all read-only. No home, no ``/etc``, no ``/proc``, no sockets, no devices but
  null, zero, full and random. What it writes stays in memory, within a limit, and is gone at the end.
- No processes of this machine: it sees and signals its own only, and none outlives the run, whatever it does.
- No environment, no secrets, no inherited files; an unprivileged user without capabilities that cannot get any.
- No system calls that no ordinary program needs (``system_calls``): tracing, mounting, keys, BPF, io_uring, sockets
  of any family but Unix, on x86-64 and 64-bit ARM.
- Bounded time, processor time, memory (each process, and all of them as they are looked at many times a second), number
  of processes, open files, file sizes and output.

What it does not: it shares the kernel with everything else, so that a hole in the kernel is a hole in the sandbox; for
hostile code take a virtual machine. It hides neither the clock nor what the processor is.

Elsewhere it refuses to run anything, unless ``allow_unisolated`` says that the code is trusted. Then (``isolation`` is
``limits``) the limits hold, there are no secrets in the environment, on Linux the filter of system calls holds, and an
audit hook of the interpreter stops accidents: writing outside the working directory, signals to others, other programs.
Files can be read as the user can read them. It stops no attacker.
"""
