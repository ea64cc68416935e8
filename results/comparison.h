// Whether a candidate is slower than a baseline, judged by pairs: in each block of trials both were measured under the same
// conditions, so what drifts from block to block falls out of their ratio.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bakeoff {

constexpr std::uint32_t least_pairs = 6;  // below, no exact test can reach 5 %

enum class Verdict { fine, regressed, undecided };
const char* to_string(Verdict verdict);

struct Comparison {
  std::uint32_t pairs = 0;
  double ratio = 1;  // candidate over baseline, the geometric mean of the pairs'
  double lower = 1;  // 95 % bootstrap interval of it
  double upper = 1;
  double p_slower = 1;   // of the exact one-sided sign-flip test: how often chance alone would make it look this slow
  double threshold = 0;  // the least change that matters, as a share
  Verdict verdict = Verdict::undecided;
  std::string why;
};

// The exact sign-flip (permutation) test: the share of the 2^n ways to swap the two of each pair whose mean log ratio is
// no greater than the one observed. Above 20 pairs 200,000 random ones of them.
double sign_flip_p_slower(const std::vector<double>& log_ratios);

// `ratios`: candidate over baseline of a figure where more is better, one a pair, all positive.
//   regressed: worse by chance in at most 5 % of cases, the interval below 1, and the ratio below 1 - threshold;
//   fine:      the interval lies above 1 - threshold;
//   undecided: neither, or fewer than least_pairs.
Comparison compare_pairs(const std::vector<double>& ratios, double threshold);
// Sets verdict and why from the rest, by these three rules.
void judge(Comparison& comparison);

// The least change that this machine can show: from pairs of the baseline with itself, the distance from 1 that the
// interval of their ratio reaches, and never less than `least`.
double noise_floor(const std::vector<double>& self_ratios, double least = 0.02);

}  // namespace bakeoff
