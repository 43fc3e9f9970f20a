/* Runs the example program on an emulated board: input.txt holds its arguments in the first line, then its input. */
#include <stdio.h>
#include <string.h>

FILE *harness_input;
int program_main(int argc, char **argv);

int main(void) {
    static char line[64], name[] = "program";
    char *arguments[8] = {name};
    int count = 1;
    harness_input = fopen("input.txt", "r");
    if (harness_input == NULL || fgets(line, sizeof line, harness_input) == NULL) {
        return 3;
    }
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        arguments[count++] = word;
    }
    return program_main(count, arguments);
}
