"""Speed of one LSTM layer on this machine: ours, and what else runs LSTMs on a CPU, taking turns."""

from bitgate.bench.machine import describe_machine
from bitgate.bench.measure import KERNEL, OURS, Plan, measure
from bitgate.bench.peers import PEERS

__all__ = ["KERNEL", "OURS", "PEERS", "Plan", "describe_machine", "measure"]
