using System.Security.Cryptography;
using OtpAuthService.Credentials;
using OtpAuthService.Keys;
using OtpAuthService.V1;
using OtpAuthService.Verification;
using DataKey = OtpAuthService.Keys.DataKey;

namespace OtpAuthService.Tests.Keys;

/// <summary>
/// AES-256-GCM and HMAC against published vectors, through the service's own code. Each was checked with another implementation (Python's cryptography
/// and hmac) before it came here. GCM: the specification (McGrew and Viega, appendix B), NIST's CAVP and Wycheproof (C2SP/wycheproof, Apache-2.0).
/// </summary>
internal sealed class VectorTests
{
    // GCM specification, test case 14
    [TestCase(
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "",
        "00000000000000000000000000000000",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919")]
    // GCM specification, test case 15
    [TestCase(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "b094dac5d93471bdec1a502270e3cc6c")]
    // GCM specification, test case 16
    [TestCase(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 128, Count = 0
    [TestCase(
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "",
        "2db5168e932556f8089a0622981d017d",
        "fa4362189661d163fcd6a56d8bf0405a",
        "d636ac1bbedd5cc3ee727dc2ab4a9489")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 104, Count = 3
    [TestCase(
        "e5a0eb92cc2b064e1bc80891faf1fab5e9a17a9c3a984e25416720e30e6c2b21",
        "4742357c335913153ff0eb0f",
        "",
        "8499893e16b0ba8b007d54665a",
        "eb8e6175f1fe38eb1acf95fd51",
        "88a8b74bb74fda553e91020a23deed45")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 256, Count = 6
    [TestCase(
        "37f39137416bafde6f75022a7a527cc593b6000a83ff51ec04871a0ff5360e4e",
        "a291484c3de8bec6b47f525f",
        "",
        "fafd94cede8b5a0730394bec68a8e77dba288d6ccaa8e1563a81d6e7ccc7fc97",
        "44dc868006b21d49284016565ffb3979cc4271d967628bf7cdaf86db888e92e5",
        "01a2b578aa2f41ec6379a44a31cc019c")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 408, Count = 8
    [TestCase(
        "595f259c55abe00ae07535ca5d9b09d6efb9f7e9abb64605c337acbd6b14fc7e",
        "92f258071d79af3e63672285",
        "",
        "a6fee33eb110a2d769bbc52b0f36969c287874f665681477a25fc4c48015c541fbe2394133ba490a34ee2dd67b898177849a91",
        "bbca4a9e09ae9690c0f6f8d405e53dccd666aa9c5fa13c8758bc30abe1ddd1bcce0d36a1eaaaaffef20cd3c5970b9673f8a65c",
        "26ccecb9976fd6ac9c2c0f372c52c821")]
    // Wycheproof, aes_gcm_test.json, tcId 73
    [TestCase(
        "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c20",
        "00112233445566778899aabb",
        "00000000ffffffff",
        "00010203040506070809",
        "e27abdd2d2a53d2f136b",
        "9a4a2579529301bcfb71c78d4060f52c")]
    // Wycheproof, aes_gcm_test.json, tcId 76
    [TestCase(
        "cc56b680552eb75008f5484b4cb803fa5063ebd6eab91f6ab6aef4916a766273",
        "99e23ec48985bccdeeab60f1",
        "",
        "2a",
        "06",
        "633c1e9703ef744ffffb40edf9d14355")]
    // Wycheproof, aes_gcm_test.json, tcId 78
    [TestCase(
        "67119627bd988eda906219e08c0d0d779a07d208ce8a4fe0709af755eeec6dcb",
        "68ab7fdbf61901dad461d23c",
        "",
        "51f8c1f731ea14acdb210a6d973e07",
        "43fc101bff4b32bfadd3daf57a590e",
        "ec04aacb7148a8b8be44cb7eaf4efa69")]
    // Wycheproof, aes_gcm_test.json, tcId 80
    [TestCase(
        "3b2458d8176e1621c0cc24c0c0e24c1e80d72f7ee9149a4b166176629616d011",
        "45aaa3e5d16d2d42dc03445d",
        "",
        "3ff1514b1c503915918f0c0c31094a6e1f",
        "73a6b6f45f6ccc5131e07f2caa1f2e2f56",
        "2d7379ec1db5952d4e95d30c340b1b1d")]
    // Wycheproof, aes_gcm_test.json, tcId 82
    [TestCase(
        "b279f57e19c8f53f2f963f5f2519fdb7c1779be2ca2b3ae8e1128b7d6c627fc4",
        "98bc2c7438d5cd7665d76f6e",
        "c0",
        "fcc515b294408c8645c9183e3f4ecee5127846d1",
        "eb5500e3825952866d911253f8de860c00831c81",
        "ecb660e1fb0541ec41e8d68a64141b3a")]
    // Wycheproof, aes_gcm_test.json, tcId 84
    [TestCase(
        "f32364b1d339d82e4f132d8f4a0ec1ff7e746517fa07ef1a7f422f4e25a48194",
        "5a86a50a0e8a179c734b996d",
        "ab2ac7c44c60bdf8228c7884adb20184",
        "43891bccb522b1e72a6b53cf31c074e9d6c2df8e",
        "43dda832e942e286da314daa99bef5071d9d2c78",
        "c3922583476ced575404ddb85dd8cd44")]
    // Wycheproof, aes_gcm_test.json, tcId 86
    [TestCase(
        "5b1d1035c0b17ee0b0444767f80a25b8c1b741f4b50a4d3052226baa1c6fb701",
        "d61040a313ed492823cc065b",
        "",
        "d096803181beef9e008ff85d5ddc38ddacf0f09ee5f7e07f1e4079cb64d0dc8f5e6711cd4921a7887de76e2678fdc67618f1185586bfea9d4c685d50e4bb9a82",
        "c7d191b601f86c28b6a1bdef6a57b4f6ee3ae417bc125c381cdf1c4dac184ed1d84f1196206d62cad112b038845720e02c061179a8836f02b93fa7008379a6bf",
        "f15612f6c40f2e0db6dc76fc4822fcfe")]
    // Wycheproof, aes_gcm_test.json, tcId 89
    [TestCase(
        "2ce6b4c15f85fb2da5cc6c269491eef281980309181249ebf2832bd6d0732d0b",
        "c064fae9173b173fd6f11f34",
        "498d3075b09fed998280583d61bb36b6ce41f130063b80824d1586e143d349b126b16aa10fe57343ed223d6364ee602257fe313a7fc9bf9088f027795b8dc1d3",
        "f8a27a4baf00dc0555d222f2fa4fb42dc666ea3c",
        "aed58d8a252f740dba4bf6d36773bd5b41234bba",
        "01f93d7456aa184ebb49bea472b6d65d")]
    // Wycheproof, aes_gcm_test.json, tcId 92
    [TestCase(
        "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f",
        "000000000000000000000000",
        "",
        "561008fa07a68f5c61285cd013464eaf",
        "23293e9b07ca7d1b0cae7cc489a973b3",
        "ffffffffffffffffffffffffffffffff")]
    public async Task Unwrap_ByAKekInAFile_OpensTheVectorAndNothingElse(string key, string nonce, string associatedData, string plaintext, string ciphertext, string tag)
    {
        var path = Path.Combine(Directory.CreateTempSubdirectory("otpauth-vector-").FullName, "kek");
        FileKek.Create(path);
        await File.WriteAllTextAsync(path, Convert.ToBase64String(Hex(key)));
        using var kek = new FileKek(path);
        var version = await kek.NewestAsync(default);
        var stored = Hex(nonce + tag + ciphertext);
        var opened = new byte[plaintext.Length / 2];

        await kek.UnwrapAsync(version, stored, Hex(associatedData), opened, default);

        Assert.That(opened, Is.EqualTo(Hex(plaintext)));
        for (var bit = 0; bit < stored.Length * 8; bit++)
        {
            stored[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.That(() => kek.UnwrapAsync(version, stored, Hex(associatedData), opened, default), Throws.InstanceOf<CryptographicException>(), $"bit {bit}");
            stored[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        Assert.That(() => kek.UnwrapAsync(version, stored, Hex(associatedData + "00"), opened, default), Throws.InstanceOf<CryptographicException>());
        Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
    }

    /// <summary>
    /// The ciphertext is the vector's, whatever is authenticated beside it; the tag was computed by the other implementation over the service's associated data.
    /// </summary>
    // GCM specification, test case 14
    [TestCase(
        "0000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000",
        "00000000000000000000000000000000",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "c8f0af2801d54bfd2022d4f9ac8a4656")]
    // GCM specification, test case 15
    [TestCase(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        "5207d76881b3408fb27b9cf0e6ae5785")]
    // GCM specification, test case 16
    [TestCase(
        "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "090c74c1d5b25ef144e5ff5add24f4a6")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 128, Count = 0
    [TestCase(
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "fa4362189661d163fcd6a56d8bf0405a",
        "3df3595953fb0a865e4b6d8790ab2f5a")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 104, Count = 3
    [TestCase(
        "e5a0eb92cc2b064e1bc80891faf1fab5e9a17a9c3a984e25416720e30e6c2b21",
        "4742357c335913153ff0eb0f",
        "8499893e16b0ba8b007d54665a",
        "eb8e6175f1fe38eb1acf95fd51",
        "7dbc86fa971e1fe4c13c05ece90d0552")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 256, Count = 6
    [TestCase(
        "37f39137416bafde6f75022a7a527cc593b6000a83ff51ec04871a0ff5360e4e",
        "a291484c3de8bec6b47f525f",
        "fafd94cede8b5a0730394bec68a8e77dba288d6ccaa8e1563a81d6e7ccc7fc97",
        "44dc868006b21d49284016565ffb3979cc4271d967628bf7cdaf86db888e92e5",
        "544e4606770a5be9879153af8b6fd0ee")]
    // NIST CAVP, gcmEncryptExtIV256.rsp, PTlen = 408, Count = 8
    [TestCase(
        "595f259c55abe00ae07535ca5d9b09d6efb9f7e9abb64605c337acbd6b14fc7e",
        "92f258071d79af3e63672285",
        "a6fee33eb110a2d769bbc52b0f36969c287874f665681477a25fc4c48015c541fbe2394133ba490a34ee2dd67b898177849a91",
        "bbca4a9e09ae9690c0f6f8d405e53dccd666aa9c5fa13c8758bc30abe1ddd1bcce0d36a1eaaaaffef20cd3c5970b9673f8a65c",
        "5b94cef1db4aa58883600a7884deaedd")]
    // Wycheproof, aes_gcm_test.json, tcId 73
    [TestCase(
        "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c20",
        "00112233445566778899aabb",
        "00010203040506070809",
        "e27abdd2d2a53d2f136b",
        "945344c40bd835e41b38983ca02b9a62")]
    // Wycheproof, aes_gcm_test.json, tcId 76
    [TestCase(
        "cc56b680552eb75008f5484b4cb803fa5063ebd6eab91f6ab6aef4916a766273",
        "99e23ec48985bccdeeab60f1",
        "2a",
        "06",
        "322741688cf1fd4c84780057f884f8e1")]
    // Wycheproof, aes_gcm_test.json, tcId 78
    [TestCase(
        "67119627bd988eda906219e08c0d0d779a07d208ce8a4fe0709af755eeec6dcb",
        "68ab7fdbf61901dad461d23c",
        "51f8c1f731ea14acdb210a6d973e07",
        "43fc101bff4b32bfadd3daf57a590e",
        "685d5559f97e28aa4dffd7a7904c5bf9")]
    // Wycheproof, aes_gcm_test.json, tcId 80
    [TestCase(
        "3b2458d8176e1621c0cc24c0c0e24c1e80d72f7ee9149a4b166176629616d011",
        "45aaa3e5d16d2d42dc03445d",
        "3ff1514b1c503915918f0c0c31094a6e1f",
        "73a6b6f45f6ccc5131e07f2caa1f2e2f56",
        "e18208cbd7a3b799ce177a2fa87d752f")]
    // Wycheproof, aes_gcm_test.json, tcId 82
    [TestCase(
        "b279f57e19c8f53f2f963f5f2519fdb7c1779be2ca2b3ae8e1128b7d6c627fc4",
        "98bc2c7438d5cd7665d76f6e",
        "fcc515b294408c8645c9183e3f4ecee5127846d1",
        "eb5500e3825952866d911253f8de860c00831c81",
        "5556fec45f07bc85ac684ea93fd3d0b8")]
    // Wycheproof, aes_gcm_test.json, tcId 84
    [TestCase(
        "f32364b1d339d82e4f132d8f4a0ec1ff7e746517fa07ef1a7f422f4e25a48194",
        "5a86a50a0e8a179c734b996d",
        "43891bccb522b1e72a6b53cf31c074e9d6c2df8e",
        "43dda832e942e286da314daa99bef5071d9d2c78",
        "024ea7c6dde592af12dc36644c5997c6")]
    // Wycheproof, aes_gcm_test.json, tcId 86
    [TestCase(
        "5b1d1035c0b17ee0b0444767f80a25b8c1b741f4b50a4d3052226baa1c6fb701",
        "d61040a313ed492823cc065b",
        "d096803181beef9e008ff85d5ddc38ddacf0f09ee5f7e07f1e4079cb64d0dc8f5e6711cd4921a7887de76e2678fdc67618f1185586bfea9d4c685d50e4bb9a82",
        "c7d191b601f86c28b6a1bdef6a57b4f6ee3ae417bc125c381cdf1c4dac184ed1d84f1196206d62cad112b038845720e02c061179a8836f02b93fa7008379a6bf",
        "d8cc8e8bd5398fe1652f9093c2ef08fa")]
    // Wycheproof, aes_gcm_test.json, tcId 89
    [TestCase(
        "2ce6b4c15f85fb2da5cc6c269491eef281980309181249ebf2832bd6d0732d0b",
        "c064fae9173b173fd6f11f34",
        "f8a27a4baf00dc0555d222f2fa4fb42dc666ea3c",
        "aed58d8a252f740dba4bf6d36773bd5b41234bba",
        "b38935eff421b63df55c7dbcb2b5a56c")]
    // Wycheproof, aes_gcm_test.json, tcId 92
    [TestCase(
        "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f",
        "000000000000000000000000",
        "561008fa07a68f5c61285cd013464eaf",
        "23293e9b07ca7d1b0cae7cc489a973b3",
        "e5d6a2e9fcaeb1517e8ec4dc9f80cbf7")]
    public void Wrap_OfACredentialKey_IsTheVector(string dataKey, string nonce, string key, string ciphertext, string tag)
    {
        using var pinned = new PinnedKey(DataKey.SizeInBytes);
        Hex(dataKey).CopyTo(pinned.Bytes);
        using var nonces = new FixedNonce(Hex(nonce));
        var credential = CredentialId.Parse("ABCD00000001");

        var wrapped = CredentialCipher.Wrap(pinned, version: 7, Hex(key), credential, Algorithm.Sha256, nonces);

        Assert.That(Convert.ToHexStringLower(wrapped), Is.EqualTo(nonce + tag + ciphertext));
        using var opened = CredentialCipher.Unwrap(pinned, version: 7, wrapped, credential, Algorithm.Sha256);
        Assert.That(Convert.ToHexStringLower(opened.Bytes), Is.EqualTo(key));
    }

    // RFC 4226 appendix D: the intermediate HMAC of each count, here of four at once.
    [TestCase(0, "cc93cf18508d94934c64b65d8ba7667fb7cde4b075a48a19d4cbe100644e8ac1397eea747a2d33ab0bacb7fa082fef30782211938bc1c5e70416ff4466c28227d03a2d5529262ff016a1e6ef76557ece")]
    [TestCase(3, "66c28227d03a2d5529262ff016a1e6ef76557ecea904c900a64b35909874b33e61c5938a8e15ed1ca37e783d7b7233c083d4f62926c7a25f238d0316bc9cd28561042c83f219324d3c607256c03272ae")]
    [TestCase(6, "bc9cd28561042c83f219324d3c607256c03272aea4fb960c0bc06e1eabb804e5b397cdc4b45596fa1b3c89f65e6c9e883012052823443f048b4332db1637409809a679dc698207310c8c7fc07290d9e5")]
    public void CounterHmacSha1_OfFourCounts_IsRfc4226s(long first, string hmacs)
    {
        var computed = new byte[CounterHmacSha1.Counters * SHA1.HashSizeInBytes];
        CounterHmacSha1.Compute("12345678901234567890"u8, first, computed);
        Assert.That(Convert.ToHexStringLower(computed), Is.EqualTo(hmacs));
    }

#pragma warning disable CA5350 // RFC 6238's default.
    // RFC 2202 section 3, test case 1
    [TestCase(
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "4869205468657265",
        "b617318655057264e28bc0b6fb378c8ef146be00")]
    // RFC 2202 section 3, test case 2
    [TestCase(
        "4a656665",
        "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")]
    // RFC 2202 section 3, test case 3
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
        "125d7342b9ac11cd91a39af48aa17b4f63f175d3")]
    // RFC 2202 section 3, test case 4
    [TestCase(
        "0102030405060708090a0b0c0d0e0f10111213141516171819",
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
        "4c9007f4026250c6bc8414f9bf50c86c2d7235da")]
    // RFC 2202 section 3, test case 5
    [TestCase(
        "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
        "546573742057697468205472756e636174696f6e",
        "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04")]
    // RFC 2202 section 3, test case 6
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112")]
    // RFC 2202 section 3, test case 7
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e64204c6172676572205468616e204f6e6520426c6f636b2d53697a652044617461",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91")]
    public void HmacSha1_OfRfc2202_Agrees(string key, string data, string hmac) =>
        Assert.That(Convert.ToHexStringLower(HMACSHA1.HashData(Hex(key), Hex(data))), Is.EqualTo(hmac));
#pragma warning restore CA5350

    // RFC 4231 section 4, test case 1
    [TestCase(
        "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
        "4869205468657265",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854")]
    // RFC 4231 section 4, test case 2
    [TestCase(
        "4a656665",
        "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737")]
    // RFC 4231 section 4, test case 3
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd",
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb")]
    // RFC 4231 section 4, test case 4
    [TestCase(
        "0102030405060708090a0b0c0d0e0f10111213141516171819",
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd")]
    // RFC 4231 section 4, test case 6
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598")]
    // RFC 4231 section 4, test case 7
    [TestCase(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865206b6579206e6565647320746f20626520686173686564206265666f7265206265696e6720757365642062792074686520484d414320616c676f726974686d2e",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58")]
    public void HmacSha256AndSha512_OfRfc4231_Agree(string key, string data, string sha256, string sha512)
    {
        Assert.That(Convert.ToHexStringLower(HMACSHA256.HashData(Hex(key), Hex(data))), Is.EqualTo(sha256));
        Assert.That(Convert.ToHexStringLower(HMACSHA512.HashData(Hex(key), Hex(data))), Is.EqualTo(sha512));
    }

    private static byte[] Hex(string text) => Convert.FromHexString(text);

    private sealed class FixedNonce(byte[] nonce) : RandomNumberGenerator
    {
        public override void GetBytes(byte[] data) => nonce.CopyTo(data, 0);
    }
}
