#include "core/stages/stage.h"

#include <exception>
#include <new>
#include <utility>

#include "core/base/errors.h"

namespace bakeoff {
namespace {

ThreadPoolController::Settings thread_settings(const Stage::Settings& of_stage) {
  ThreadPoolController::Settings settings;
  settings.most = of_stage.most_threads;
  if (of_stage.all_at_start) settings.least = of_stage.most_threads;
  return settings;
}

void count(Decision decision, Counter& raised, Counter& lowered) {
  if (decision == Decision::raise) raised.add();
  if (decision == Decision::lower) lowered.add();
}

}  // namespace

Stage::Stage(Server& server, const Settings& settings, Handler handler)
    : server_(server),
      settings_(settings),
      handler_(std::move(handler)),
      body_([this](Worker& worker, int number) { work(worker, number); }),
      queue_(settings.queue_bound),
      threads_control_(thread_settings(settings)) {
  for (int i = settings.most_threads; i-- > 0;) free_numbers_.push_back(settings.first_worker + i);
  const auto now = std::chrono::steady_clock::now();
  if (settings.controls_batches && settings.most_at_once > 1) {
    batches_control_.emplace(BatchingController::Settings{.most = settings.most_at_once}, ns(now) / 1'000'000);
  }
  if (settings.overload_target_ms > 0) {
    load_control_.emplace(OverloadController::Settings{.target_ms = static_cast<double>(settings.overload_target_ms)},
                          ns(now));
  }
}

Stage::~Stage() {
  std::unique_lock lock(threads_mutex_);
  ending_ = true;
  queue_.close();
  ended_.wait(lock, [this] { return threads_ == 0; });
}

void Stage::start() {
  const std::lock_guard lock(threads_mutex_);
  try {
    while (threads_ < threads_control_.settings().least) add_thread();
  } catch (const StartError& error) {
    throw StartError("only " + std::to_string(threads_) + " of " + std::to_string(settings_.most_threads) +
                     " threads of a stage could be started: " + error.what());
  }
}

// REQUIRES: threads_mutex_ is held.
void Stage::add_thread() {
  start_thread(server_, free_numbers_.back(), body_);
  free_numbers_.pop_back();
  ++threads_;
}

bool Stage::end_thread(int number) {
  const std::lock_guard lock(threads_mutex_);
  if (!ending_ && !threads_control_.may_end(threads_)) return false;
  free_numbers_.push_back(number);
  --threads_;
  ended_.notify_all();  // with the lock held: the stage may be gone when it is released
  return true;
}

void Stage::look(Worker& worker) {
  const std::size_t queued = queue_.size();
  const std::lock_guard lock(threads_mutex_);
  if (threads_control_.look(queued, threads_) != Decision::raise) return;
  try {
    add_thread();
    worker.stats.stage_threads_added.add();
  } catch (const std::exception&) {  // no thread, or no memory for one
    // The threads there are go on; the next decision tries again.
  }
}

bool Stage::try_push(Connection& connection) {
  Event one = event(connection);
  if (load_control_) {
    const std::lock_guard lock(load_mutex_);
    if (!load_control_->admit(ns(one.entered))) return false;
  }
  try {
    if (queue_.try_push(one)) return true;
  } catch (const std::bad_alloc&) {
    // No memory for it: as good as full.
  }
  if (load_control_) {
    const std::lock_guard lock(load_mutex_);
    load_control_->take_back_admission();
  }
  return false;
}

void Stage::done(Worker& worker, const Event& event) {
  if (!load_control_) return;
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(load_mutex_);
  count(load_control_->done(ns(now), ns(now) - ns(event.entered)), worker.stats.stage_admission_raised,
        worker.stats.stage_admission_lowered);
}

void Stage::work(Worker& worker, int number) {
  worker.be_called(settings_.name, number - settings_.first_worker + 1);
  const std::chrono::milliseconds patience(threads_control_.settings().idle_ms);
  Batch batch;
  batch.reserve(settings_.most_at_once);
  for (std::size_t limit = batch_limit(worker, 0);; limit = batch_limit(worker, batch.size())) {
    const std::size_t queued = queue_.pop_batch_within(patience, limit, batch);
    if (queued == 0) {
      worker.stats.stage_threads_ended.add();  // while the number, and with it the counter, is still this thread's
      if (end_thread(number)) return;
      worker.stats.stage_threads_ended.take_back();
      continue;
    }
    worker.clock.refresh();
    const auto now = std::chrono::steady_clock::now();
    std::chrono::steady_clock::duration waited{};
    for (const Event& one : batch) waited += now - one.entered;
    worker.stats.count_batch(batch.size(), queued);
    worker.stats.stage_wait_us.add(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(waited).count()));
    handler_(worker, batch);
  }
}

std::size_t Stage::batch_limit(Worker& worker, std::size_t handled) {
  if (!batches_control_) return settings_.most_at_once;
  const std::lock_guard lock(batches_mutex_);
  handled_ += handled;
  count(batches_control_->observe(ns(std::chrono::steady_clock::now()) / 1'000'000, handled_),
        worker.stats.stage_batches_raised, worker.stats.stage_batches_lowered);
  return batches_control_->limit();
}

}  // namespace bakeoff
