"""keras_tensorflow.py, with 50 steps in each call of the compiled program."""

import functools

import keras_tensorflow  # noqa: F401  chooses the backend
import mlp_keras
from keras import Model

Model.compile = functools.partialmethod(Model.compile, steps_per_execution=50)

if __name__ == "__main__":
    mlp_keras.main(__file__)
