"""The only package that imports a model runtime. It knows no stage."""
