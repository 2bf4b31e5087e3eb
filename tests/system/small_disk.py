"""Small file systems of their own, to be filled up and emptied. Needs root."""
import os
import subprocess
import threading

from cluster import wait_until


class SmallDisk:
    """A file system in memory at a new folder, gone with the object."""

    def __init__(self, folder, size):
        self.folder = folder
        self.filler = os.path.join(folder, "filler")
        self.thread = None
        os.makedirs(folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder],
                       check=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.thread and self.thread.is_alive():
            self.free()
        subprocess.run(["umount", "--lazy", self.folder], check=False)
        return False

    def fill(self):
        """Takes all that is left, and all that others give back, until free()."""
        self.filling = threading.Event()
        self.thread = threading.Thread(target=self.take_all)
        self.thread.start()
        wait_until(lambda: self.left() == 0, "the disk to be full")

    def take_all(self):
        with open(self.filler, "ab", buffering=0) as f:
            while not self.filling.wait(0.005):
                for piece in (1 << 20, 1 << 12):
                    try:
                        while f.write(b"\0" * piece) == piece:
                            pass
                    except OSError:
                        pass

    def free(self):
        self.filling.set()
        self.thread.join()
        os.remove(self.filler)

    def left(self):
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize
