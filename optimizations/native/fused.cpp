// Pointwise kernels of a transformer block, forward and backward, for processors. Called through ctypes.
//
// Every kernel exists for float (suffix _f32) and bfloat16 (_bf16) storage; arithmetic is float throughout. Matrices are
// dense and row-major. `threads` is the number of OpenMP threads, 1 never starts any. Results do not depend on it: rows
// are independent, and sums over rows are made in a fixed number of parts that are added in a fixed order.
//
// Dropout: element j of row r is kept if hash(seed, r, j) < keep_below, a probability times 2^32, and then multiplied
// with keep_scale = 1 / (1 - p). Backward kernels make the same mask again from the same seed: no mask is stored.
// keep_below == 0 means no dropout at all.
//
// No -ffast-math: the loops are written so that they vectorise without it, and exp below relies on exact rounding.

#include "numeric.h"

#include <vector>

namespace {

// ---- work over rows ----------------------------------------------------------------------------------------------

constexpr int64_t PARTS = 32;  // of sums over rows; a constant, so that results don't depend on the threads

// body(row, scratch): scratch is `width` floats of the calling thread.
template <class Body>
void for_each_row(int64_t rows, int64_t width, int threads, Body body) {
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        std::vector<float> scratch(width);
#pragma omp for schedule(static)
        for (int64_t row = 0; row < rows; ++row) body(row, scratch.data());
    }
}

// body(row, scratch, sums): sums is `columns` floats to add to; their total over all rows goes to `total`.
template <class Body>
void for_each_row_with_sums(int64_t rows, int64_t width, int64_t columns, float* total, int threads, Body body) {
    std::vector<float> partial(PARTS * columns, 0.0f);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        std::vector<float> scratch(width);
#pragma omp for schedule(static)
        for (int64_t part = 0; part < PARTS; ++part)
            for (int64_t row = rows * part / PARTS; row < rows * (part + 1) / PARTS; ++row)
                body(row, scratch.data(), partial.data() + part * columns);
    }
    for (int64_t column = 0; column < columns; ++column) total[column] = partial[column];
    for (int64_t part = 1; part < PARTS; ++part)
        for (int64_t column = 0; column < columns; ++column) total[column] += partial[part * columns + column];
}

// ---- softmax + dropout over rows of attention scores -------------------------------------------------------------

// scores (rows, width), raw products, become softmax(scale * scores); dropped gets the same with dropout, if it is on.
template <class T>
void softmax_dropout(T* scores, T* dropped, int64_t rows, int64_t width, float scale, Dropout dropout, int threads) {
    for_each_row(rows, width, threads, [=](int64_t row, float* __restrict e) {
        T* __restrict s = scores + row * width;
        float largest = -INFINITY;
#pragma omp simd reduction(max : largest)
        for (int64_t j = 0; j < width; ++j) {
            e[j] = load(s + j);
            largest = e[j] > largest ? e[j] : largest;
        }
        float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < width; ++j) {
            e[j] = exp_nonpositive((e[j] - largest) * scale);
            sum += e[j];
        }
        const float inverse = 1.0f / sum;
        for (int64_t j = 0; j < width; ++j) store(s + j, e[j] * inverse);
        if (!dropout.on()) return;
        const RowMask mask(dropout, row);
        T* __restrict d = dropped + row * width;
        for (int64_t j = 0; j < width; ++j) store(d + j, e[j] * inverse * mask.factor(uint32_t(j)));
    });
}

// Given the softmax and the gradient of what dropout made of it, gradient becomes that of the raw products, and
// dropped is made again (if dropout is on).
template <class T>
void softmax_dropout_backward(const T* softmax, T* gradient, T* dropped, int64_t rows, int64_t width, float scale,
                              Dropout dropout, int threads) {
    for_each_row(rows, width, threads, [=](int64_t row, float* __restrict dp) {
        const T* __restrict p = softmax + row * width;
        T* __restrict g = gradient + row * width;
        if (dropout.on()) {
            const RowMask mask(dropout, row);
            T* __restrict d = dropped + row * width;
            for (int64_t j = 0; j < width; ++j) {
                const float factor = mask.factor(uint32_t(j));
                dp[j] = load(g + j) * factor;
                store(d + j, load(p + j) * factor);
            }
        } else {
            for (int64_t j = 0; j < width; ++j) dp[j] = load(g + j);
        }
        float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t j = 0; j < width; ++j) dot += dp[j] * load(p + j);
        for (int64_t j = 0; j < width; ++j) store(g + j, scale * load(p + j) * (dp[j] - dot));
    });
}

// ---- bias + GELU (the exact one, by the error function) ----------------------------------------------------------

// output = gelu(input + bias), both (rows, width).
template <class T>
void bias_gelu(const T* input, const float* bias, T* output, int64_t rows, int64_t width, int threads) {
    for_each_row(rows, 0, threads, [=](int64_t row, float*) {
        const T* __restrict x = input + row * width;
        T* __restrict y = output + row * width;
        for (int64_t j = 0; j < width; ++j) {
            const float value = load(x + j) + bias[j];
            store(y + j, value * standard_normal(value).distribution);
        }
    });
}

// gradient of the output becomes that of the input; bias_gradient is its sum over rows.
template <class T>
void bias_gelu_backward(const T* input, const float* bias, T* gradient, float* bias_gradient, int64_t rows, int64_t width,
                        int threads) {
    for_each_row_with_sums(rows, 0, width, bias_gradient, threads, [=](int64_t row, float*, float* __restrict sums) {
        const T* __restrict x = input + row * width;
        T* __restrict g = gradient + row * width;
        for (int64_t j = 0; j < width; ++j) {
            const float value = load(x + j) + bias[j];
            const Normal normal = standard_normal(value);
            const float result = load(g + j) * (normal.distribution + value * normal.density);
            store(g + j, result);
            sums[j] += result;
        }
    });
}

// ---- bias + dropout + residual + layer norm ----------------------------------------------------------------------

// output = norm(dropout(input + bias) + residual) * weight + shift; input becomes the normalised values, and
// inverse_deviation (rows,) what they were multiplied with: both are what the backward needs.
template <class T>
void bias_dropout_residual_norm(T* input, const float* bias, const T* residual, const float* weight, const float* shift,
                                T* output, float* inverse_deviation, int64_t rows, int64_t width, float epsilon,
                                Dropout dropout, int threads) {
    for_each_row(rows, width, threads, [=](int64_t row, float* __restrict z) {
        T* __restrict x = input + row * width;
        const T* __restrict r = residual + row * width;
        T* __restrict y = output + row * width;
        const RowMask mask(dropout, row);
        float sum = 0.0f;
        if (dropout.on()) {
#pragma omp simd reduction(+ : sum)
            for (int64_t j = 0; j < width; ++j) {
                z[j] = (load(x + j) + bias[j]) * mask.factor(uint32_t(j)) + load(r + j);
                sum += z[j];
            }
        } else {
#pragma omp simd reduction(+ : sum)
            for (int64_t j = 0; j < width; ++j) {
                z[j] = load(x + j) + bias[j] + load(r + j);
                sum += z[j];
            }
        }
        const float mean = sum / float(width);
        float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
        for (int64_t j = 0; j < width; ++j) {
            z[j] -= mean;
            squares += z[j] * z[j];
        }
        const float inverse = 1.0f / std::sqrt(squares / float(width) + epsilon);
        inverse_deviation[row] = inverse;
        for (int64_t j = 0; j < width; ++j) {
            const float normalised = z[j] * inverse;
            store(x + j, normalised);
            store(y + j, normalised * weight[j] + shift[j]);
        }
    });
}

// From the gradient of the output: residual_gradient, input_gradient (of input + bias; not written without dropout,
// where both are the same), and sums (3, width), the gradients of weight, shift and bias.
template <class T>
void bias_dropout_residual_norm_backward(const T* normalised, const float* inverse_deviation, const float* weight,
                                         const T* gradient, T* residual_gradient, T* input_gradient, float* sums,
                                         int64_t rows, int64_t width, Dropout dropout, int threads) {
    const auto body = [=](int64_t row, float* __restrict d, float* __restrict parts) {
        const T* __restrict n = normalised + row * width;
        const T* __restrict g = gradient + row * width;
        T* __restrict r = residual_gradient + row * width;
        float sum = 0.0f, dot = 0.0f;
#pragma omp simd reduction(+ : sum, dot)
        for (int64_t j = 0; j < width; ++j) {
            const float given = load(g + j), value = load(n + j);
            parts[j] += given * value;
            parts[width + j] += given;
            d[j] = given * weight[j];
            sum += d[j];
            dot += d[j] * value;
        }
        const float mean = sum / float(width), slope = dot / float(width), inverse = inverse_deviation[row];
        for (int64_t j = 0; j < width; ++j) {
            d[j] = (d[j] - mean - load(n + j) * slope) * inverse;
            store(r + j, d[j]);
        }
        if (dropout.on()) {
            const RowMask mask(dropout, row);
            T* __restrict x = input_gradient + row * width;
            for (int64_t j = 0; j < width; ++j) {
                d[j] *= mask.factor(uint32_t(j));
                store(x + j, d[j]);
            }
        }
        for (int64_t j = 0; j < width; ++j) parts[2 * width + j] += d[j];
    };
    for_each_row_with_sums(rows, width, 3 * width, sums, threads, body);
}

// ---- dropout alone -----------------------------------------------------------------------------------------------

// output = dropout(input), both (rows, width); the backward pass is the same on the gradient.
template <class T>
void drop(const T* input, T* output, int64_t rows, int64_t width, Dropout dropout, int threads) {
    for_each_row(rows, 0, threads, [=](int64_t row, float*) {
        const RowMask mask(dropout, row);
        const T* __restrict x = input + row * width;
        T* __restrict y = output + row * width;
        for (int64_t j = 0; j < width; ++j) store(y + j, load(x + j) * mask.factor(uint32_t(j)));
    });
}

// ---- sums over rows ----------------------------------------------------------------------------------------------

// sums[j] = the sum of column j of input (rows, width), in float.
template <class T>
void sum_rows(const T* input, float* sums, int64_t rows, int64_t width, int threads) {
    for_each_row_with_sums(rows, 0, width, sums, threads, [=](int64_t row, float*, float* __restrict part) {
        const T* __restrict x = input + row * width;
        for (int64_t j = 0; j < width; ++j) part[j] += load(x + j);
    });
}

}  // namespace

// ---- C interface -------------------------------------------------------------------------------------------------

#define FOR_STORAGE(T, SUFFIX)                                                                                         \
    extern "C" void softmax_dropout_##SUFFIX(T* scores, T* dropped, int64_t rows, int64_t width, float scale,          \
                                             Dropout dropout, int threads) {                                           \
        softmax_dropout(scores, dropped, rows, width, scale, dropout, threads);                                        \
    }                                                                                                                  \
    extern "C" void softmax_dropout_backward_##SUFFIX(const T* softmax, T* gradient, T* dropped, int64_t rows,         \
                                                      int64_t width, float scale, Dropout dropout, int threads) {      \
        softmax_dropout_backward(softmax, gradient, dropped, rows, width, scale, dropout, threads);                    \
    }                                                                                                                  \
    extern "C" void bias_gelu_##SUFFIX(const T* input, const float* bias, T* output, int64_t rows, int64_t width,      \
                                       int threads) {                                                                  \
        bias_gelu(input, bias, output, rows, width, threads);                                                          \
    }                                                                                                                  \
    extern "C" void bias_gelu_backward_##SUFFIX(const T* input, const float* bias, T* gradient, float* bias_gradient,  \
                                                int64_t rows, int64_t width, int threads) {                            \
        bias_gelu_backward(input, bias, gradient, bias_gradient, rows, width, threads);                                \
    }                                                                                                                  \
    extern "C" void bias_dropout_residual_norm_##SUFFIX(                                                               \
        T* input, const float* bias, const T* residual, const float* weight, const float* shift, T* output,            \
        float* inverse_deviation, int64_t rows, int64_t width, float epsilon, Dropout dropout, int threads) {          \
        bias_dropout_residual_norm(input, bias, residual, weight, shift, output, inverse_deviation, rows, width,       \
                                   epsilon, dropout, threads);                                                         \
    }                                                                                                                  \
    extern "C" void bias_dropout_residual_norm_backward_##SUFFIX(                                                      \
        const T* normalised, const float* inverse_deviation, const float* weight, const T* gradient,                   \
        T* residual_gradient, T* input_gradient, float* sums, int64_t rows, int64_t width, Dropout dropout,            \
        int threads) {                                                                                                 \
        bias_dropout_residual_norm_backward(normalised, inverse_deviation, weight, gradient, residual_gradient,        \
                                            input_gradient, sums, rows, width, dropout, threads);                      \
    }                                                                                                                  \
    extern "C" void drop_##SUFFIX(const T* input, T* output, int64_t rows, int64_t width, Dropout dropout,             \
                                  int threads) {                                                                       \
        drop(input, output, rows, width, dropout, threads);                                                            \
    }                                                                                                                  \
    extern "C" void sum_rows_##SUFFIX(const T* input, float* sums, int64_t rows, int64_t width, int threads) {         \
        sum_rows(input, sums, rows, width, threads);                                                                   \
    }

FOR_STORAGE(float, f32)
FOR_STORAGE(bf16, bf16)
