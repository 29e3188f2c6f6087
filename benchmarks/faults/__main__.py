"""Faults on purpose; each prints a table of docs/reliability.md.

python -m benchmarks.faults kills --count 300
python -m benchmarks.faults kills --count 20 --kinds ddp --tmpdir /dev/shm
python -m benchmarks.faults kills --count 50 --world full     # needs the right to mount a disk
python -m benchmarks.faults kills --count 50 --world nfs
python -m benchmarks.faults damage --count 200
python -m benchmarks.faults hostile --count 400
python -m benchmarks.faults worlds
"""

import argparse
import math

from benchmarks.faults import damage, hostile, kills, worlds
from benchmarks.faults.disks import DISKS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    faults = parser.add_subparsers(required=True)
    of_kills = faults.add_parser("kills", help="SIGKILL, SIGTERM and SIGINT at random and at watched moments")
    of_kills.add_argument("--count", type=int, default=300, help="number of kills in all; default: 300")
    of_kills.add_argument("--minutes", type=float, default=math.inf, help="time after which no more are begun")
    of_kills.add_argument("--kinds", nargs="+", default=["single", "ddp", "sweep", "study", "predict"])
    of_kills.add_argument("--world", choices=sorted(DISKS), default="plain", help="disk of the killed processes")
    of_kills.add_argument("--folder", help="folder on the disk to test; default: that of temporary files")
    of_kills.add_argument("--tmpdir", help="TMPDIR of the killed processes, such as one on another disk")
    of_kills.add_argument("--keep", help="folder that receives what did not come out the same")
    of_kills.add_argument("--seed", type=int, default=0)
    of_kills.set_defaults(run=kills.main)
    of_damage = faults.add_parser("damage", help="files with flipped bits, cut off, emptied or swapped")
    of_damage.add_argument("--count", type=int, default=200, help="number of damaged files; default: 200")
    of_damage.add_argument("--seed", type=int, default=0)
    of_damage.set_defaults(run=damage.main)
    of_hostile = faults.add_parser("hostile", help="runs, packages, sweeps, studies, data and pages of a stranger")
    of_hostile.add_argument("--count", type=int, default=400, help="number of hostile files; default: 400")
    of_hostile.add_argument("--seed", type=int, default=0)
    of_hostile.set_defaults(run=hostile.main)
    of_worlds = faults.add_parser("worlds", help="resumes where one thing has changed since the run was stopped")
    of_worlds.add_argument("--only", nargs="+", help="names of worlds; default: all")
    of_worlds.set_defaults(run=worlds.main)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
