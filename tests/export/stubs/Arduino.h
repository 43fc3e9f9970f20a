/* As much of Arduino as the example sketch uses; its macros too, which collide with careless headers. */
#ifndef ARDUINO_STUB_H
#define ARDUINO_STUB_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HIGH 0x1
#define LOW 0x0
#define INPUT 0x0
#define OUTPUT 0x1
#define DEFAULT 1
#define PI 3.1415926535897932384626433832795
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define abs(x) ((x) > 0 ? (x) : -(x))
#define round(x) ((x) >= 0 ? (long)((x) + 0.5) : (long)((x)-0.5))
#define constrain(amt, low, high) ((amt) < (low) ? (low) : ((amt) > (high) ? (high) : (amt)))
#define bit(b) (1UL << (b))
#define F(text) (text)

/* The serial port is stdin and stdout; its end counts as the pause that ends a sequence. */
struct SerialStub {
    void begin(unsigned long) {}
    size_t readBytes(char *to, size_t size) { return fread(to, 1, size, stdin); }
    size_t print(char value) { return (size_t)printf("%c", value); }
    size_t print(long value) { return (size_t)printf("%ld", value); }
    size_t println() { return (size_t)printf("\n"); }
};
static SerialStub Serial;

void setup();
void loop();

#endif
