#!/usr/bin/env Rscript
# Makes beside_r.json, with which the tests compare our statistics, with base R (Debian: r-base-core):
#
#     tests/results/beside_r.R > tests/results/beside_r.json
set.seed(2007)

number <- function(value) sprintf("%.17g", value)
list_of <- function(values) paste0("[", paste(number(values), collapse = ","), "]")
object <- function(...) {
  fields <- c(...)
  paste0("{", paste0("\"", names(fields), "\":", fields, collapse = ","), "}")
}
array_of <- function(objects) paste0("[", paste(unlist(objects), collapse = ",\n"), "]")
each <- function(table, make) lapply(seq_len(nrow(table)), function(i) do.call(make, as.list(table[i, ])))

# The pseudomedian and limits that each have a tail of their own, by inversion of the exact signed-rank test.
location <- function(n, tail) {
  values <- round(rnorm(n, 0.1, 0.3), 9)
  stopifnot(!anyDuplicated(abs(values)))
  limit <- function(side)
    wilcox.test(values, alternative = side, conf.int = TRUE, conf.level = 1 - tail, exact = TRUE)
  below <- limit("greater")
  object(values = list_of(values), tail = number(tail), estimate = number(below$estimate),
         lower = number(below$conf.int[1]), upper = number(limit("less")$conf.int[2]))
}
locations <- each(expand.grid(n = c(6, 7, 9, 12, 20, 40, 80), tail = c(0.02, 0.05)), location)

# A figure of positive values: the interval of the logarithms, by the tail nearest to 2.5 % that whole ranks have, where
# 3.25 % is the most.
figure <- function(n, spread) {
  values <- signif(10^runif(1, -2, 6) * exp(rnorm(n, 0, spread)), 10)
  tails <- psignrank(0:(n * (n + 1) / 2), n)
  tails <- tails[tails <= 0.0325]
  tail <- tails[which.min(abs(tails - 0.025))]
  # A little more, so that the last digit does not decide what is below it.
  test <- wilcox.test(log(values), conf.int = TRUE, conf.level = 1 - 2 * tail * (1 + 1e-9), exact = TRUE)
  object(values = list_of(values), median = number(exp(test$estimate)), lower = number(exp(test$conf.int[1])),
         upper = number(exp(test$conf.int[2])))
}
figures <- each(expand.grid(n = c(5, 6, 7, 8, 10, 12, 16, 20, 30), spread = c(0.005, 0.1, 0.8)), figure)

# Exact p-values of the signed-rank test, far beyond 64 pairs, too.
pair_test <- function(n, shift) {
  differences <- round(rnorm(n, shift, 0.05), 9)
  stopifnot(!any(differences == 0), !anyDuplicated(abs(differences)))
  p <- function(side) wilcox.test(differences, alternative = side, exact = TRUE)$p.value
  object(differences = list_of(differences), so_low = number(p("less")), so_far = number(p("two.sided")))
}
pairs <- each(expand.grid(n = c(5, 6, 8, 12, 20, 63, 64, 65, 90, 130, 200), shift = c(0, -0.03, 0.01)), pair_test)

# With ties and zeros R has no exact test: here all signs are counted.
tied_test <- function(n, zeros) {
  differences <- c(sample(c(-3, -2, -1, 1, 2, 3), n, replace = TRUE), rep(0, zeros))
  left <- differences[differences != 0]
  ranks <- rank(abs(left))
  sums <- 0
  for (rank in ranks) sums <- c(sums, sums + rank)
  object(differences = list_of(differences), so_low = number(mean(sums <= sum(ranks[left > 0]))))
}
ties <- each(expand.grid(n = c(4, 6, 9, 12), zeros = c(0, 2)), tied_test)

# Beyond 200 pairs ours is the normal approximation with its correction for continuity, as R has it.
many_test <- function(n) {
  differences <- round(rnorm(n, -0.004, 0.05), 3)
  p <- wilcox.test(differences[differences != 0], alternative = "less", exact = FALSE, correct = TRUE)$p.value
  object(differences = list_of(differences), so_low = number(p))
}
many <- each(expand.grid(n = c(220, 300)), many_test)

# Two samples that are not paired.
shift <- function(m, n, tail) {
  from <- round(rnorm(m, 0, 0.2), 9)
  to <- round(rnorm(n, 0.1, 0.2), 9)
  limit <- function(side)
    wilcox.test(to, from, alternative = side, conf.int = TRUE, conf.level = 1 - tail, exact = TRUE)
  below <- limit("greater")
  object(from = list_of(from), to = list_of(to), tail = number(tail), estimate = number(below$estimate),
         lower = number(below$conf.int[1]), upper = number(limit("less")$conf.int[2]))
}
shifts <- each(expand.grid(m = c(4, 5, 12), n = c(5, 8, 20), tail = c(0.02, 0.05)), shift)

# Holm's correction: its adjusted p-values are at most alpha for what is rejected.
correction <- function(n, kind) {
  p <- signif(if (kind == 0) runif(n) else runif(n)^4, 6)
  object(p_values = list_of(p), adjusted = list_of(p.adjust(p, "holm")))
}
corrections <- each(expand.grid(n = c(1, 3, 10, 28), kind = c(0, 1)), correction)

cat(object(made_with = paste0("\"", R.version$major, ".", R.version$minor, "\""), locations = array_of(locations),
           figures = array_of(figures), pairs = array_of(pairs), ties = array_of(ties), many = array_of(many),
           shifts = array_of(shifts), corrections = array_of(corrections)), "\n", sep = "")
