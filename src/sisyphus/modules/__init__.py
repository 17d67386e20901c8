"""Task modules: what they are made of, how they are found, and the built-in ones."""
