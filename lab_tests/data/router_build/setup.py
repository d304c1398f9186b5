from pybind11.setup_helpers import Pybind11Extension
from setuptools import setup

setup(ext_modules=[Pybind11Extension("leaky.engine", ["src/engine.cpp"])], packages=["leaky"])
