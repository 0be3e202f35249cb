"""Symbols of the modules that a kernel will load, for a gdb that is there before the kernel is: lx-symbols-later.

The kernel's own lx-symbols reads the list of modules first, and then waits for the next ones. Here is the waiting alone.
It is sourced after vmlinux-gdb.py, whose parts it is made of.
"""

import os

import gdb
from linux import symbols


class ModuleLoaded(symbols.LoadModuleBreakpoint):
    """A hardware breakpoint: it is there in spite of what is written over the memory, at a boot and a reboot."""

    def __init__(self, command):
        gdb.Breakpoint.__init__(
            self,
            "do_init_module",
            type=gdb.BP_HARDWARE_BREAKPOINT,
            internal=True,
        )
        self.silent = True
        self.gdb_command = command


class LxSymbolsLater(gdb.Command):
    """lx-symbols-later FOLDER...: modules get their symbols from there as the kernel loads them."""

    def __init__(self):
        super().__init__("lx-symbols-later", gdb.COMMAND_FILES)

    def invoke(self, argument, _from_tty):
        command = symbols.LxSymbols()
        command.module_paths = [os.path.abspath(path) for path in argument.split()]
        command.breakpoint = ModuleLoaded(command)


LxSymbolsLater()
