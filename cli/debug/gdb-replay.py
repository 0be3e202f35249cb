"""The end of a recording, for a gdb that replays it: it stops there, and can go back from there.

A machine that has powered off cannot be gone back from: QEMU ends with an invalid runstate transition.
"""

import gdb


class End(gdb.Breakpoint):
    """The kernel's last function; whoever goes on from there ends the replay."""

    def __init__(self):
        super().__init__("kernel_power_off", type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True

    def stop(self):
        gdb.write("\nThe recording ends here: the guest powers off.\n")
        return True


End()
