// Runs a few threads of a few steps in every order. A step is what a thread does to something that others see: an
// access to an atomic, a call of the kernel.
//
// The threads are functions in one thread of the kernel. To take a thread's next step, its function is called again; it
// gets the results of its earlier steps once more, takes one new step, and is left before the one after that. So it may
// do nothing but steps that others, or it itself when called again, could see.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace bakeoff::test {

class Interleavings {
 public:
  // In a thread. can(): whether the step can be taken now, or would wait. Returns what take() returns.
  std::uint64_t step(
      const std::function<std::uint64_t()>& take, const std::function<bool()>& can = [] { return true; }) {
    Thread& me = threads_[running_];
    if (me.again < me.results.size()) return me.results[me.again++];
    if (!me.goes) {
      me.can = can;
      throw Left{};
    }
    me.goes = false;
    ++me.again;
    return me.results.emplace_back(take());
  }

  struct Outcome {
    std::size_t orders = 0;
    std::size_t stuck = 0;  // of them, those in which threads wait for ever
  };
  // begin(): puts what they share back to its beginning.
  Outcome explore(const std::vector<std::function<void()>>& threads, const std::function<void()>& begin) {
    Outcome outcome;
    std::vector<std::size_t> choices, widths;
    do {
      begin();
      threads_.assign(threads.size(), {});
      for (std::size_t i = 0; i < threads.size(); ++i) run(i, threads[i], false);
      for (std::size_t depth = 0;; ++depth) {
        std::vector<std::size_t> able;
        bool all_ended = true;
        for (std::size_t i = 0; i < threads.size(); ++i) {
          all_ended = all_ended && threads_[i].ended;
          if (!threads_[i].ended && threads_[i].can()) able.push_back(i);
        }
        if (able.empty()) {
          outcome.stuck += all_ended ? 0 : 1;
          break;
        }
        if (depth == choices.size()) choices.push_back(0);
        widths.resize(choices.size());
        widths[depth] = able.size();
        const std::size_t next = able[choices[depth]];
        run(next, threads[next], true);
      }
      ++outcome.orders;
      while (!choices.empty() && ++choices.back() == widths[choices.size() - 1]) choices.pop_back();
    } while (!choices.empty());
    return outcome;
  }

 private:
  struct Left {};
  struct Thread {
    std::vector<std::uint64_t> results;  // of its steps so far
    std::size_t again = 0;               // of them, those that it has got again
    bool goes = false;                   // it may take a new one
    bool ended = false;
    std::function<bool()> can;  // of the step before which it was left
  };
  void run(std::size_t number, const std::function<void()>& thread, bool goes) {
    running_ = number;
    threads_[number].again = 0;
    threads_[number].goes = goes;
    try {
      thread();
      threads_[number].ended = true;
    } catch (const Left&) {
    }
  }

  std::vector<Thread> threads_;
  std::size_t running_ = 0;
};

}  // namespace bakeoff::test
