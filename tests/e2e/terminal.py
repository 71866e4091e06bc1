"""A terminal without a window: what a program shows on it."""
import os
import termios
import threading


def terminal(log):
    """Its end for the program, 300 letters wide; whatever is written there is in the file `log` a moment later."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, 300))

    def keep():
        with open(ours, "rb", buffering=0) as shown, log.open("wb", buffering=0) as file:
            try:
                while text := shown.read(65536):
                    file.write(text)
            except OSError:  # nobody has it open any more
                pass
    threading.Thread(target=keep, daemon=True).start()
    return open(theirs, "wb", buffering=0)
