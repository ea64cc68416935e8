// The folder of one run: enough to repeat it, and to go on with it after whatever ended it.
//     spec.toml inputs.json inputs/ plan.json environment.json trials.jsonl result.json tables.txt
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "results/model.h"

namespace bakeoff {

class RunFolder {
 public:
  // Makes the folder. UsageError when there is something in it already (says how to go on with it), StartError when it
  // cannot be written.
  static RunFolder create(const std::filesystem::path& dir);
  // Whether a run got as far as its plan there. What was killed before that holds nothing; create() takes its place.
  static bool has_begun(const std::filesystem::path& dir);
  // An existing one, to resume. UsageError when it is not a run's, or another bakeoff works in it.
  static RunFolder reopen(const std::filesystem::path& dir);
  RunFolder(RunFolder&& other) noexcept;
  ~RunFolder();

  const std::filesystem::path& path() const { return dir_; }
  std::filesystem::path spec_file() const { return dir_ / "spec.toml"; }

  // A whole file, there completely or not at all. StartError when the disk is full. BLOCKS: disk.
  void write(const std::string& name, const std::string& text);
  // One line more of trials.jsonl, on the disk when it returns. StartError when the disk is full. BLOCKS: disk.
  void append(const Trial& trial);
  // The trials so far, lean. A last line that was cut short is forgotten, and cut off the file; UsageError with the
  // line's number for any other damage.
  std::vector<Trial> read_trials();

 private:
  explicit RunFolder(std::filesystem::path dir);
  void open_trials(int flags);

  std::filesystem::path dir_;
  int lock_ = -1;
  int trials_ = -1;
};

// Without the evidence that no result is made of, and with the histogram of latencies as text: in memory all of it
// would be a megabyte a trial, and a night has thousands. It is on the disk.
Trial lean(Trial trial);

// trials.jsonl as text into lean trials; `whole_bytes` is where a torn last line begins, or the end.
std::vector<Trial> parse_trials(const std::string& text, const std::string& file_name, std::size_t& whole_bytes);

}  // namespace bakeoff
