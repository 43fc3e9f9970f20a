/* Included before main.c: its input comes from a file, and its main is called by the harness. */
#include <stdio.h>

extern FILE *harness_input;
#define scanf(...) fscanf(harness_input, __VA_ARGS__)
#define main program_main
