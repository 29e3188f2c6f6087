import subprocess
import sys
import time

from segexp.begun import begun, note_command

CODE = """
import time
from segexp.begun import begun, note_command
time.sleep(0.3)
for _ in range(2):
    note_command()
    print(time.monotonic() - begun())
"""


def test_the_first_command_of_a_process_began_with_it_and_a_later_one_with_itself():
    start = time.monotonic()
    printed = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    first, second = map(float, printed.split())
    assert 0.3 <= first <= time.monotonic() - start + 0.02  # the kernel counts in hundredths
    assert abs(second) < 0.1


def test_what_follows_a_command_or_is_called_from_python_begins_with_the_call():
    note_command()
    begun()
    before = time.monotonic()
    assert before <= begun() <= time.monotonic()
