#include "bg_activation.h"

#include "bg_shift.h"

/* round(32768 / (1 + exp(-k / 16))), k = 0 to 192; tests compare it with the formula. */
static const uint16_t bg_sigmoid_table[193] = {
    16384, 16896, 17407, 17916, 18421, 18923, 19420, 19912, 20397, 20874, 21344, 21804, 22255, 22696, 23127, 23547,
    23955, 24352, 24737, 25110, 25471, 25819, 26155, 26479, 26790, 27090, 27377, 27653, 27917, 28169, 28411, 28642,
    28862, 29072, 29272, 29462, 29644, 29816, 29979, 30135, 30282, 30422, 30555, 30680, 30799, 30912, 31018, 31119,
    31214, 31304, 31389, 31469, 31545, 31616, 31684, 31747, 31807, 31864, 31917, 31968, 32015, 32060, 32102, 32141,
    32179, 32214, 32247, 32278, 32307, 32335, 32361, 32385, 32408, 32430, 32450, 32469, 32487, 32504, 32520, 32535,
    32549, 32562, 32574, 32586, 32597, 32607, 32617, 32626, 32635, 32643, 32650, 32657, 32664, 32670, 32676, 32682,
    32687, 32692, 32696, 32701, 32705, 32709, 32712, 32716, 32719, 32722, 32725, 32727, 32730, 32732, 32734, 32736,
    32738, 32740, 32742, 32743, 32745, 32746, 32747, 32749, 32750, 32751, 32752, 32753, 32754, 32755, 32756, 32756,
    32757, 32758, 32758, 32759, 32759, 32760, 32760, 32761, 32761, 32762, 32762, 32762, 32763, 32763, 32763, 32764,
    32764, 32764, 32764, 32765, 32765, 32765, 32765, 32765, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768, 32768,
    32768,
};

int32_t bg_smooth(int32_t u) {
    int32_t magnitude = u < 0 ? -u : u;
    int32_t value = BG_ONE;
    if (magnitude < 12 * BG_ONE) {
        int32_t k = bg_floor_shift32(magnitude, 11);
        int32_t low = bg_sigmoid_table[k];
        int32_t rise = bg_sigmoid_table[k + 1] - low;
        value = low + bg_round_shift32(rise * (magnitude & 2047), 11);
    }
    return u < 0 ? BG_ONE - value : value;
}

int32_t bg_smooth_tanh(int32_t u) {
    return 2 * bg_smooth(u) - BG_ONE;
}

/* Value behind the last threshold that u reaches. */
static int32_t bg_activate_levels(const bg_gate *gate, int32_t u) {
    int32_t reached = 0;
    int32_t end = (int32_t)gate->levels - 1;
    while (reached < end) {
        int32_t middle = (reached + end) / 2;
        if (u >= gate->thresholds[middle]) {
            reached = middle + 1;
        } else {
            end = middle;
        }
    }
    return gate->values[reached];
}

int32_t bg_activate(const bg_gate *gate, int32_t u) {
    if (gate->levels == 0) {
        return bg_smooth(u);
    }
    if (gate->levels == 2) {
        return u >= 0 ? BG_ONE : 0;
    }
    return bg_activate_levels(gate, u);
}
