/* What the compiled steps share: LANES trials at a time, one in each entry of a vector.

A matrix is held row by row, and each entry is one vector with an entry of every trial of the group. Lanes do not touch
each other, so a trial's result does not depend on which others it is run with. Products and sums may become one
instruction; nothing else is reordered: NaN and infinity stay what they are. */

/* The vectors are this wide: of narrower ones a compiler would keep sums in memory. metarep_can_run asks for them. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#define CAN_RUN (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
#else
#define CAN_RUN 1
#endif

#include <math.h>
#include <string.h>

#define LANES 4
#define MOST 8 /* columns of B and of B_* */

typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8)));

#define EACH(i, size) for (int i = 0; i < (size); i++)
#define INLINE static inline __attribute__((always_inline))

enum learner { AVERAGE_LOSS, FO_ANIL, ANIL, FO_MAML, MAML };
