"""The end of a recording, for a gdb that replays it: it stops there, and can go back from there.

A machine that has powered off, or was reset, cannot be gone back from: QEMU ends with an invalid runstate transition.
"""

import gdb


class End(gdb.Breakpoint):
    """The kernel's last function; whoever goes on from there ends the replay."""

    def __init__(self, function, what):
        super().__init__(function, type=gdb.BP_HARDWARE_BREAKPOINT, internal=True)
        self.silent = True
        self.what = what

    def stop(self):
        gdb.write(f"\nThe recording ends here: the guest {self.what}.\n")
        return True


End("kernel_power_off", "powers off")
# What a panic ends in.
End("emergency_restart", "resets")
End("kernel_restart", "resets")
