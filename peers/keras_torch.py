"""mlp_keras.py on the backend torch."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import mlp_keras  # noqa: E402

if __name__ == "__main__":
    mlp_keras.main(__file__)
