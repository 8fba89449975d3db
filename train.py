"""Train a spiking classifier: python train.py [group=choice] [group.key=value]; see torchdyn_train.py."""

from torchdyn_train import command

if __name__ == "__main__":
    command()
