"""A small file system in memory, which can be full. Needs root."""
import os
import subprocess
import tempfile


class Disk:
    def __init__(self, folder, megabytes):
        """Raises OSError where nothing may be mounted."""
        self.folder, self.kilobytes = folder, megabytes * 1024
        os.makedirs(folder)
        self.mount(f"size={self.kilobytes}k,mode=0700", "-t", "tmpfs", "tmpfs")

    def mount(self, options, *words):
        done = subprocess.run(["mount", *words, "-o", options, self.folder], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())

    def fill(self):
        """Nothing is left, except what others give back, until free()."""
        while True:
            status = os.statvfs(self.folder)
            used = (status.f_blocks - status.f_bfree) * status.f_frsize // 1024
            try:
                return self.mount(f"remount,size={max(used, 4)}k")
            except OSError:
                pass  # more was written since we looked

    def free(self):
        self.mount(f"remount,size={self.kilobytes}k")

    def close(self):
        subprocess.run(["umount", "--lazy", self.folder], check=False)


def small_disk(base, megabytes):
    """None where this user may mount nothing."""
    try:
        return Disk(tempfile.mkdtemp(dir=base) + "/disk", megabytes)
    except OSError:
        return None
