#include "harness/run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/errors.h"
#include "core/base/untrusted.h"
#include "harness/plan/inputs.h"

namespace bakeoff {
namespace {

constexpr std::size_t most_trials_bytes = std::size_t{4} << 30;

[[noreturn]] void cannot(const std::string& what, const std::filesystem::path& path, int error) {
  std::string message = "cannot " + what + " " + path.string() + ": " + std::strerror(error);
  if (error == ENOSPC || error == EDQUOT)
    message += RunFolder::has_begun(path.parent_path())
                   ? "; what was measured is kept: make room, then go on with --resume"
                   : "; nothing was measured yet: make room, then give the command again";
  throw StartError(message);
}

void write_all(int fd, const std::string& text, const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = ::write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) cannot("write", path, errno);
    done += static_cast<std::size_t>(wrote);
  }
  if (fsync(fd) != 0) cannot("write", path, errno);
}

// Empty, or what a run leaves that is killed before it has a plan.
bool holds_nothing(const std::filesystem::path& dir) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename();
    if (name != "lock" && name != "trials.jsonl" && name != "spec.toml" && name != "environment.json" &&
        name != "inputs" && name != inputs_file && !name.ends_with(".new"))
      return false;
  }
  return !error;
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path dir) : dir_(std::move(dir)) {
  const std::filesystem::path lock = dir_ / "lock";
  lock_ = open(lock.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (lock_ < 0) cannot("write", lock, errno);
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    close(lock_);
    throw UsageError("another bakeoff is at work in " + dir_.string() + "; wait for it or choose another --out");
  }
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : dir_(std::move(other.dir_)), lock_(std::exchange(other.lock_, -1)), trials_(std::exchange(other.trials_, -1)) {}

RunFolder::~RunFolder() {
  if (trials_ >= 0) close(trials_);
  if (lock_ >= 0) close(lock_);
}

bool RunFolder::has_begun(const std::filesystem::path& dir) {
  std::error_code error;
  if (std::filesystem::exists(dir / "plan.json", error)) return true;
  const auto bytes = std::filesystem::file_size(dir / "trials.jsonl", error);
  return !error && bytes > 0;
}

RunFolder RunFolder::create(const std::filesystem::path& dir) {
  std::error_code error;
  if (has_begun(dir))
    throw UsageError(dir.string() + " holds a run already; go on with it with --resume, or choose another --out");
  if (std::filesystem::exists(dir, error) && (!std::filesystem::is_directory(dir, error) || !holds_nothing(dir))) {
    throw UsageError(dir.string() + " is there already and is no empty folder; choose another --out");
  }
  std::filesystem::create_directories(dir, error);
  if (error) cannot("make", dir, error.value());
  RunFolder folder(dir);
  folder.open_trials(0);
  return folder;
}

RunFolder RunFolder::reopen(const std::filesystem::path& dir) {
  for (const char* name : {"spec.toml", "plan.json"}) {
    if (!std::filesystem::exists(dir / name))
      throw UsageError(dir.string() + " holds no run that one could go on with (no " + name +
                       "); begin it with its specification");
  }
  RunFolder folder(dir);
  folder.open_trials(O_NOFOLLOW);  // the folder may be somebody else's
  return folder;
}

void RunFolder::open_trials(int flags) {
  const std::filesystem::path file = dir_ / "trials.jsonl";
  trials_ = open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | flags, 0644);
  if (trials_ < 0) cannot("write", file, errno);
  struct stat status {};
  if (fstat(trials_, &status) != 0 || S_ISFIFO(status.st_mode))  // while it is open here it has no end
    throw UsageError(file.string() + " is a pipe, not a file");
}

void RunFolder::write(const std::string& name, const std::string& text) {
  const std::filesystem::path file = dir_ / name, unfinished = dir_ / (name + ".new");
  const int fd = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) cannot("write", file, errno);
  try {
    write_all(fd, text, file);
  } catch (...) {
    close(fd);
    unlink(unfinished.c_str());
    throw;
  }
  close(fd);
  if (rename(unfinished.c_str(), file.c_str()) != 0) cannot("write", file, errno);
}

void RunFolder::append(const Trial& trial) {
  write_all(trials_, json_text(to_json(trial)) + "\n", dir_ / "trials.jsonl");
}

std::vector<Trial> RunFolder::read_trials() {
  const std::filesystem::path file = dir_ / "trials.jsonl";
  const std::string text = read_untrusted(file, most_trials_bytes);
  std::size_t whole_bytes = 0;
  std::vector<Trial> trials = parse_trials(text, file.string(), whole_bytes);
  if (whole_bytes < text.size() && ftruncate(trials_, static_cast<off_t>(whole_bytes)) != 0)
    cannot("mend", file, errno);
  return trials;
}

Trial lean(Trial trial) {
  nlohmann::json kept = nlohmann::json::object();
  if (trial.evidence.is_object()) {
    const nlohmann::json::json_pointer histogram("/load/histogram");
    if (trial.evidence.contains(histogram)) kept["load"]["histogram"] = trial.evidence.at(histogram).dump();
    if (const auto profile = trial.evidence.find("profile"); profile != trial.evidence.end())
      kept["profile"] = std::move(*profile);
  }
  trial.evidence = std::move(kept);
  return trial;
}

std::vector<Trial> parse_trials(const std::string& text, const std::string& file_name, std::size_t& whole_bytes) {
  std::vector<Trial> trials;
  whole_bytes = 0;
  for (std::size_t line = 1;; ++line) {
    const std::size_t end = text.find('\n', whole_bytes);
    if (end == std::string::npos) return trials;  // without its newline the line was not finished
    try {
      const std::string_view one = std::string_view(text).substr(whole_bytes, end - whole_bytes);
      trials.push_back(lean(trial_from_json(parse_untrusted(one, "a trial"))));
    } catch (const nlohmann::json::exception& error) {
      throw UsageError(file_name + ":" + std::to_string(line) + ": damaged: " + plain_words(error));
    } catch (const std::exception& error) {
      throw UsageError(file_name + ":" + std::to_string(line) + ": damaged: " + error.what());
    }
    whole_bytes = end + 1;
  }
}

}  // namespace bakeoff
