"""Makes another process do a system call, as if whoever had taken it over did (ptrace(2)); x86-64, and only for who may trace."""

import ctypes
import errno
import os
import platform
import signal
import struct

SUPPORTED = platform.machine() == "x86_64"
PEEK, POKE, GET_REGISTERS, SET_REGISTERS, STEP, DETACH, SEIZE, INTERRUPT = 2, 5, 12, 13, 9, 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000
WORD = 8
SYSCALL = b"\x0f\x05"
BELOW_STACK = 4096  # where a process that stands still keeps nothing
NAMES = ["r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip",
         "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"]

NUMBERS = {"open": 2, "close": 3, "mmap": 9, "socket": 41, "connect": 42, "listen": 50, "clone": 56, "fork": 57, "execve": 59, "kill": 62,
           "unlink": 87, "ptrace": 101, "prctl": 157, "openat": 257, "io_uring_setup": 425}

library = ctypes.CDLL(None, use_errno=True)
library.ptrace.restype = ctypes.c_long
library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    result = library.ptrace(request, pid, address, data)
    if result == -1 and ctypes.get_errno() != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Taken:
    """A process that stands still while the block runs, and then goes on as if nothing had been."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        ptrace(SEIZE, self.pid)
        ptrace(INTERRUPT, self.pid)
        os.waitpid(self.pid, WAIT_ALL)
        self.before = self.registers()
        self.place = self.before["rip"] - len(SYSCALL)  # it waits in a system call
        found = struct.pack("<q", ptrace(PEEK, self.pid, self.place))[:len(SYSCALL)]
        if found != SYSCALL:
            self.__exit__()
            raise RuntimeError(f"process {self.pid} doesn't wait in a system call")
        return self

    def __exit__(self, *_):
        self.set_registers(self.before)
        ptrace(DETACH, self.pid)

    def registers(self):
        area = (ctypes.c_ulong * len(NAMES))()
        ptrace(GET_REGISTERS, self.pid, 0, ctypes.addressof(area))
        return dict(zip(NAMES, area))

    def set_registers(self, values):
        area = (ctypes.c_ulong * len(NAMES))(*[values[name] for name in NAMES])
        ptrace(SET_REGISTERS, self.pid, 0, ctypes.addressof(area))

    def call(self, name, *arguments):
        """0 or more, or the negative errno. Bytes are put into its memory; a list of bytes is an argv."""
        self.free = self.before["rsp"] - BELOW_STACK & ~0xF
        values = dict(self.before, rip=self.place, rax=NUMBERS[name], orig_rax=2**64 - 1)
        for register, argument in zip(["rdi", "rsi", "rdx", "r10", "r8", "r9"], [*arguments, *[0] * (6 - len(arguments))]):
            values[register] = self.put(argument) % 2**64
        self.set_registers(values)
        ptrace(STEP, self.pid)
        _, status = os.waitpid(self.pid, WAIT_ALL)
        if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signal.SIGTRAP:
            raise RuntimeError(f"process {self.pid} stopped otherwise: {status:#x}")
        return struct.unpack("<q", struct.pack("<Q", self.registers()["rax"]))[0]

    def put(self, argument):
        if isinstance(argument, int):
            return argument
        if isinstance(argument, list):
            pointers = [self.put(text + b"\0") for text in argument]
            argument = struct.pack(f"<{len(pointers) + 1}Q", *pointers, 0)
        padded = argument + bytes(-len(argument) % WORD)
        self.free -= len(padded) + WORD & ~0xF
        for offset in range(0, len(padded), WORD):
            ptrace(POKE, self.pid, self.free + offset, struct.unpack_from("<Q", padded, offset)[0])
        return self.free


def may_trace(pid):
    """Whether this user may; a process that hides itself is for root alone."""
    try:
        with Taken(pid):
            return True
    except OSError as refusal:
        if refusal.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            return False
        raise
