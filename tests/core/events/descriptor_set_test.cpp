#include "core/events/descriptor_set.h"

#include <random>
#include <set>
#include <vector>

#include "tests/catch.h"

using bakeoff::DescriptorSet;

namespace {

std::vector<int> members(const DescriptorSet& set) {
  std::vector<int> found;
  set.for_each([&](int fd) { found.push_back(fd); });
  return found;
}

}  // namespace

TEST_CASE("a descriptor set holds numbers far beyond fd_set's 1024", "[descriptor_set]") {
  DescriptorSet set(20'001);
  CHECK(set.empty());
  CHECK(set.limit() == 0);
  for (const int fd : {20'000, 0, 63, 64, 1024}) set.insert(fd);
  CHECK(members(set) == std::vector<int>{0, 63, 64, 1024, 20'000});
  CHECK(set.limit() == 20'001);
  CHECK(set.contains(20'000));
  CHECK_FALSE(set.contains(19'999));

  set.erase(20'000);
  CHECK_FALSE(set.contains(20'000));
  CHECK(set.limit() == 20'001);

  set.clear();
  CHECK(set.empty());
  CHECK(set.limit() == 0);
  CHECK(members(set).empty());
}

TEST_CASE("a descriptor set's words are what select reads: bit n of word m is descriptor 64 m + n",
          "[descriptor_set]") {
  DescriptorSet set(200);
  set.insert(3);
  set.insert(130);
  CHECK(set.words()[0] == 8);
  CHECK(set.words()[1] == 0);
  CHECK(set.words()[2] == 4);
}

TEST_CASE("merging adds the other set's members and limit", "[descriptor_set]") {
  DescriptorSet set(300);
  DescriptorSet batch(300);
  set.insert(1);
  batch.insert(1);
  batch.insert(250);
  set.merge(batch);
  CHECK(members(set) == std::vector<int>{1, 250});
  CHECK(set.limit() == 251);
  CHECK(members(batch) == std::vector<int>{1, 250});

  DescriptorSet none(300);
  set.merge(none);
  CHECK(members(set) == std::vector<int>{1, 250});
  CHECK(set.limit() == 251);
}

TEST_CASE("a visitor may erase the member it is called with", "[descriptor_set]") {
  DescriptorSet set(128);
  for (int fd = 0; fd < 128; ++fd) set.insert(fd);
  int visits = 0;
  set.for_each([&](int fd) {
    ++visits;
    if (fd % 2 == 0) set.erase(fd);
  });
  CHECK(visits == 128);
  CHECK(members(set).size() == 64);
  CHECK(set.contains(127));
  CHECK_FALSE(set.contains(126));
}

TEST_CASE("a descriptor set does as std::set does", "[descriptor_set]") {
  constexpr int descriptors = 500;
  std::mt19937 random(7);
  DescriptorSet set(descriptors);
  std::set<int> model;
  for (int step = 0; step < 20'000; ++step) {
    const int fd = static_cast<int>(random() % descriptors);
    switch (random() % 40) {
      case 0:
        set.clear();
        model.clear();
        break;
      case 1: {
        DescriptorSet other(descriptors);
        other.insert(fd);
        set.merge(other);
        model.insert(fd);
        break;
      }
      default:
        if (random() % 2 == 0) {
          set.insert(fd);
          model.insert(fd);
        } else {
          set.erase(fd);
          model.erase(fd);
        }
    }
    REQUIRE(set.empty() == model.empty());
    REQUIRE(set.contains(fd) == model.contains(fd));
    if (step % 50 == 0) REQUIRE(members(set) == std::vector<int>(model.begin(), model.end()));
    if (!model.empty()) REQUIRE(set.limit() > *model.rbegin());
  }
}
