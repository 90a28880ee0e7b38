#include "engine/model/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <utility>

#include "tests/support/gguf_writer.h"
#include "tests/support/mapped_bytes.h"

namespace intactkv {
namespace {

using ::testing::HasSubstr;

std::string TempPath(const std::string& name) { return ::testing::TempDir() + name; }

TEST(MappedFileTest, MapsTheBytesAndKeepsThemThroughMoves) {
  const std::string path = TempPath("mapped_file_test");
  const std::vector<std::byte> content = {std::byte{1}, std::byte{2}, std::byte{3}};
  test::WriteBytes(path, content);
  absl::StatusOr<MappedFile> opened = MappedFile::Open(path);
  ASSERT_TRUE(opened.ok()) << opened.status();
  MappedFile moved = std::move(opened).value();
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_TRUE(moved.bytes().empty());  // NOLINT(bugprone-use-after-move): that is the contract
  EXPECT_EQ(assigned.path(), path);
  ASSERT_EQ(assigned.bytes().size(), 3u);
  EXPECT_EQ(assigned.bytes()[2], std::byte{3});
}

TEST(MappedFileTest, DiscardedPagesLeaveMemoryAndStayReadable) {
  const std::string path = TempPath("mapped_file_discard_" + std::to_string(::getpid()));
  constexpr size_t kSize = size_t{4} << 20;
  test::WriteBytes(path, std::vector<std::byte>(kSize, std::byte{7}));
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto sum = [&] {
    int64_t total = 0;
    for (const std::byte b : file->bytes()) total += static_cast<int>(b);
    return total;
  };
  EXPECT_EQ(sum(), int64_t{7} * kSize);
  EXPECT_EQ(test::ResidentMappedBytes(path), int64_t{kSize});
  // All but a first and a last page, of which these bytes are only a part.
  file->Discard(file->bytes().subspan(100, kSize - 200));
  EXPECT_LE(test::ResidentMappedBytes(path), 2 * 4096);
  EXPECT_EQ(sum(), int64_t{7} * kSize);
  // Bytes of another owner keep their values.
  std::vector<std::byte> other(kSize, std::byte{9});
  file->Discard(other);
  EXPECT_EQ(other[kSize / 2], std::byte{9});
  EXPECT_EQ(test::ResidentMappedBytes(path), int64_t{kSize});
  std::remove(path.c_str());
}

TEST(MappedFileTest, ErrorsNameThePath) {
  const absl::Status missing = MappedFile::Open(TempPath("no_such_file")).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;
  EXPECT_THAT(missing.ToString(), HasSubstr("no_such_file: cannot be opened"));
  const absl::Status directory = MappedFile::Open(::testing::TempDir()).status();
  EXPECT_THAT(directory.ToString(), HasSubstr("is not a regular file"));
  const std::string path = TempPath("empty_file");
  test::WriteBytes(path, {});
  EXPECT_THAT(MappedFile::Open(path).status().ToString(), HasSubstr("empty_file: is empty"));
}

}  // namespace
}  // namespace intactkv
