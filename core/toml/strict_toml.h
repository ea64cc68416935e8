// TOML read strictly. The reader of a table asks for the keys it knows; an unknown key is an error, and so is a value
// of the wrong type or out of range. Every error is a UsageError of one line that says where and what was expected:
//     quick.toml:7:15: connections: expected an integer from 1 to 1000000, got 0
//     quick.toml:9:1: unknown key `conections`; did you mean `connections`?
// An error in a value from the command line (`set`) names what was typed instead of a file and a line.
//
//     TomlDocument document = TomlDocument::load("specs/quick.toml");
//     TomlTable root = document.root();
//     std::string name = root.string("name");
//     std::int64_t seed = root.integer("seed", {0, 1000}, 1);        // optional: 1 when it is not there
//     for (TomlTable server : root.tables("server")) read(server);
//     document.finish();                                             // what nobody asked for is an error
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bakeoff {

struct IntegerRange {
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
};

struct NumberRange {
  double least = 0;
  double most = std::numeric_limits<double>::infinity();
};

// A table of a document; a cheap handle that keeps the document alive. Each reader throws UsageError for a value of the
// wrong type or range; without a fallback also for a key that is missing.
class TomlTable {
 public:
  bool has(std::string_view key) const;  // also marks the key as known

  std::string string(std::string_view key) const;
  std::string string(std::string_view key, std::string fallback) const;
  std::string one_of(std::string_view key, const std::vector<std::string>& values) const;
  std::string one_of(std::string_view key, const std::vector<std::string>& values, std::string fallback) const;
  bool boolean(std::string_view key) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::int64_t integer(std::string_view key, IntegerRange range) const;
  std::int64_t integer(std::string_view key, IntegerRange range, std::int64_t fallback) const;
  double number(std::string_view key, NumberRange range) const;  // an integer will do
  double number(std::string_view key, NumberRange range, double fallback) const;
  // Seconds: a number, or a string with a unit: "250us", "340ms", "15s", "2m" or "2min", "1h".
  double duration_s(std::string_view key, NumberRange range_s) const;
  double duration_s(std::string_view key, NumberRange range_s, double fallback_s) const;
  // Bytes: an integer, or a string with a unit: "100KB" (1000), "64KiB" or, as on command lines, "64K" (1024); M and
  // G likewise.
  std::int64_t bytes(std::string_view key, IntegerRange range) const;
  std::int64_t bytes(std::string_view key, IntegerRange range, std::int64_t fallback) const;

  // Lists: one value alone stands for a list of one. Missing: the fallback; an empty list is an error.
  std::vector<std::string> strings(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key, std::vector<std::string> fallback) const;
  std::vector<std::int64_t> integers(std::string_view key, IntegerRange range) const;
  std::vector<std::int64_t> integers(std::string_view key, IntegerRange range,
                                     std::vector<std::int64_t> fallback) const;
  std::vector<double> numbers(std::string_view key, NumberRange range) const;
  std::vector<double> numbers(std::string_view key, NumberRange range, std::vector<double> fallback) const;

  std::optional<TomlTable> table(std::string_view key) const;  // [key]; empty when it is not there
  std::vector<TomlTable> tables(std::string_view key) const;  // [[key]]; empty when it is not there, [key] alone is one

  // All keys that are there, in the order of the file: for tables whose keys are the user's own (options, variables).
  // They count as known.
  std::vector<std::string> keys() const;
  // Any scalar as the text one would type on a command line: 5 -> "5", true -> "on", "x" -> "x".
  std::string text(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;  // of a list; its values may be of several types

  // Any scalar as TomlDocument::set() reads it back: 5 -> "5", true -> "true", "x" -> "x".
  std::string assigned(std::string_view key) const;
  std::vector<std::string> assigned_list(std::string_view key) const;

  // Whether the value is a table or a list, for keys that take several forms. False when it is not there.
  bool is_table(std::string_view key) const;
  bool is_list(std::string_view key) const;

  // UsageError "FILE:LINE:COLUMN: KEY: MESSAGE" at that key (or at the table when the key is not there).
  [[noreturn]] void fail(std::string_view key, std::string_view message) const;
  // "FILE:LINE:COLUMN" of this table, for messages of one's own.
  std::string where() const;

 private:
  friend class TomlDocument;
  struct State;
  struct Access;
  TomlTable(std::shared_ptr<State> state, const void* node) : state_(std::move(state)), node_(node) {}

  std::shared_ptr<State> state_;
  const void* node_;  // a toml::table of state_; untyped so that readers of this header need not compile toml++
};

class TomlDocument {
 public:
  // UsageError when the file cannot be read, has more than 16 MiB or is not TOML. BLOCKS: disk.
  static TomlDocument load(const std::filesystem::path& file);
  // `name` stands where errors would name the file.
  static TomlDocument parse(std::string_view text, std::string name);

  // Call before anything is read: an override as typed, "key=value" or "table.key=value". The value is read as TOML,
  // else as a plain string of any bytes, so that nobody has to quote twice in a shell. If a string is expected, the
  // value is a string, even if it looks like a number or a date. UsageError without a "=" or with an empty key.
  void set(std::string_view assignment);

  // Call before anything is read: merges [TABLE.CHOICE] into the document, tables key by key; other values are
  // replaced. Removes [TABLE]. Without a choice it only removes. Returns the available choices; UsageError for
  // any other.
  std::vector<std::string> choose(std::string_view table, std::string_view choice);

  TomlTable root() const;

  // UsageError for the first key, in file order, that nobody asked for, with the nearest known key as a suggestion.
  void finish() const;

  const std::string& name() const;
  const std::string& source_text() const;  // as read, for records of what was run

 private:
  explicit TomlDocument(std::shared_ptr<TomlTable::State> state) : state_(std::move(state)) {}
  std::shared_ptr<TomlTable::State> state_;
};

// The known word nearest to what was typed, or empty when none is near enough to be a slip of the finger.
std::string nearest_word(std::string_view typed, const std::vector<std::string>& known);

}  // namespace bakeoff
