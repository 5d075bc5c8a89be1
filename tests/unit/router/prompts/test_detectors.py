"""Each detector: what it finds, what only looks like it, and what a digit changes."""

# ruff: noqa: RUF001 - letters and digits that look like others are what is tested

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from agent_runtime.router.prompts.privacy import Privacy
from fleet_spec.governance_spec import PrivacySpec
from tests.unit.router.prompts.labelled import SECRETS, with_secrets

pytestmark = pytest.mark.unit

PRIVACY = Privacy(PrivacySpec())


def detectors(text: str) -> set[str]:
    """The detectors that find something."""
    return {reason.partition(":")[0] for reason in PRIVACY.reasons(text)}


FOUND = {
    "card": [
        "4111 1111 1111 1111",
        "pay with 5500-0000-0000-0004 please",
        "amex 3782 822463 10005",
        "378282246310005",
        "6011.1111.1111.1117",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41111111 11111111 is on my card",
        "four one one one one one one one one one one one one one one one",
        "vier eins eins eins eins eins eins eins eins eins eins eins eins eins eins eins",
        "４１１１１１１１１１１１１１１１",
        '{"pan": 4111111111111111}',
        "NDExMTExMTExMTExMTExMSBpcyBteSBjYXJk",
    ],
    "iban": [
        "DE89 3704 0044 0532 0130 00",
        "GB82WEST12345698765432",
        "gb82 west 1234 5698 7654 32",
        "FR14 2004 1010 0505 0001 3M02 606 and thanks",
        "NO9386011117947",
        "account number 12345678, sort code 12-34-56",
        "Kontonummer: 532013000",
    ],
    "email": [
        "sara.lind@firma.se",
        "SARA.LIND@FIRMA.SE",
        "sara.lind＠firma.se",
        "sara dot lind at firma dot se",
        "sara.lind (at) firma (dot) se",
        "sara.lind [at] firma.se",
        "sara&#64;firma.se",
        "sara%40firma.se",
        "s a r a @ f i r m a . s e",
        "sa\u200bra@fir\u00adma.se",
        "sara punkt lind at firma punkt de",
        "sara arroba correo punto es",
        "mailto:sara+news@mail.firma.co.uk?subject=x",
    ],
    "phone": [
        "+1 (415) 555-2671",
        "+49 30 901820",
        "0049 171 1234567",
        "call me: 07911 123456",
        "(415) 555-2671",
        "415-555-2671",
        "Handy 0171/1234567",
        "portable : 06.12.34.56.78",
        "mi movil es 612345678",
        "whatsapp 98201 55342",
        "my number is 8675309",
        "tel. +３３ １ ４２ ６８ ５３ ００",
    ],
    "nationalId": [
        "536-90-4399",
        "ssn 536904399",
        "social security number: 536 90 4399",
        "AB123456C",
        "NINO QQ 12 34 56 C is a sample, AB 12 34 56 C is not",
        "Steuer-ID 86095742719",
        "86 095 742 719",
        "1 51 02 46 102 043 25",
        "12345678Z",
        "X-5253868-R",
        "RCCMNL83S18D969H",
        "BSN 111222333",
        "756.9217.0769.85",
        "PESEL: 44051401359",
        "aadhaar 234123412346",
        "390.533.447-05",
        "CPF 39053344705",
        "NHS number 943 476 5919",
    ],
    "credential": [
        "password: hunter2",
        "my password is swordfish",
        "PASSWORD=Winter2024",
        "passwd = 'letmein99'",
        "the login is bob / pw: qwerty12",
        "root's password is toor123",
        "Kennwort: Blau_7",
        "mot de passe : Renard!8",
        "la contraseña es Toro.99",
        "wachtwoord = Fiets12",
        "hasło: Zima2020",
        "senha: praia123",
        "https://bob:s3cr3t1@files.firma.se/x",
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "Authorization: Basic Ym9iOmh1bnRlcjI=",
        '"client_secret": "d9f8a7s6df98a7s6df"',
        "mysql -u root --password=Hx72kkq db",
        "PIN: 4821",
        "my pin for the bank card is 0042",
    ],
    "health": [
        "I have multiple sclerosis.",
        "My father was diagnosed with Parkinson's disease.",
        "Patient Tanaka: HbA1c 8.2 %",
        "Mrs. Doyle is allergic to penicillin",
        "Diagnosis: ulcerative colitis",
        "Ich habe Asthma.",
        "Frau Weber leidet an Depressionen",
        "Je suis enceinte",
        "Tengo epilepsia",
        "mia figlia ha l'asma",
        "mijn vrouw is zwanger",
        "mam cukrzycę",
        "minha mãe tem câncer",
    ],
    "pay": [
        "I earn 4,000 euros a month",
        "My salary: 72k",
        "his pension is 1,450 pounds",
        "Anna Berg's salary is $88,000",
        "Ich verdiene 3500 Euro",
        "mon salaire est de 2 300 euros",
        "mi sueldo son 1.800 euros",
        "moja pensja wynosi 7000 zł",
        "my credit score is 701",
    ],
    "document": [
        "passport number 925665416",
        "Reisepass C01X00T47",
        "driver's license no. S530-4608-7210",
        "date of birth: 07/04/1976",
        "I was born on 7 April 1976",
        "Herr Wolf, geboren am 07.04.1976",
        "née le 7 avril 1976, Mme Petit",
        "MRN 00481516",
    ],
    "address": [
        "I live at 27 Willow Road, Cambridge",
        "12 Baker Close, Oxford OX4 1AB",
        "1420 Maple Drive, Austin, TX 78704",
        "Goethestraße 14, 80336 München",
        "8 rue de la Paix, 75002 Paris",
        "calle de Alcalá 50, 28014 Madrid",
        "via Dante 7, 20123 Milano",
        "Keizersgracht 100, 1015 CV Amsterdam",
        "ul. Polna 4, 00-622 Warszawa",
        "Rua Augusta 500, 01305-000 São Paulo",
    ],
}
NOT_FOUND = [
    # numbers of things
    "4111 1111 1111 1112",
    "order 4532-1188-2201-0007",
    "DE89 3704 0044 0532 0130 01",
    "ISBN 978-3-16-148410-0",
    "EAN 4006381333931",
    "550e8400-e29b-41d4-a716-446655440000",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "v2.31.4-rc.1+build.20240117",
    "2024-02-29T23:59:59+01:00",
    "10.20.30.40:8080",
    "fe80::1ff:fe23:4567:890a",
    "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144",
    "0.1234567890123456",
    "1700000000000",
    "invoice 2024-000123, 14 items, 1,299.00",
    "000-12-3456 and 666-12-3456 are no numbers that were ever given out",
    "lat 48.858222, lon 2.2945",
    "one two three four five six seven",
    # at, without an address
    "@media (max-width: 600px)",
    "npm i react@18.2.0",
    "icon@2x.png",
    "ssh admin@web1.internal",
    "git@github.com:org/repo.git",
    "meet at noon at the lake",
    "info@firma.se is on the leaflet",
    # passwords spoken of
    "How do I change my password?",
    "my password is wrong",
    "the password is stored hashed",
    "password: str",
    "password = input('Password: ')",
    "PASSWORD=${DB_PASSWORD}",
    "api_key='<your key here>'",
    "secret: process.env.SECRET",
    "https://example.org:8443/a@b",
    "What is a private key?",
    "the token limit is 4096",
    # health and pay in general
    "What are the symptoms of asthma?",
    "Is cancer hereditary?",
    "Write an essay about depression.",
    "Wie behandelt man Diabetes?",
    "How much does a nurse earn in Ohio?",
    "The median salary is 48,000 dollars.",
    "Was verdient ein Pilot?",
    # papers, places and dates in general
    "How do I renew a passport?",
    "Goethe was born on 28 August 1749.",
    "Where is Baker Street?",
    "The museum is at 1000 Fifth Avenue, New York, NY 10028.",
    "Call our hotline on 0800 111 2222.",
    "The call centre's number is +1 800 275 2273",
    "Dial 112.",
]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in FOUND.items() for text in texts])
def test_what_a_detector_finds(name: str, text: str) -> None:
    assert name in detectors(text)


@pytest.mark.parametrize("text", NOT_FOUND)
def test_what_only_looks_like_it(text: str) -> None:
    assert detectors(text) == set()


@pytest.mark.parametrize(
    "name", sorted(set(SECRETS) - {"b64_email", "aws_secret", "pem"} - {n for n in SECRETS if "url" in n})
)
def test_tokens_of_services_are_found_anywhere(name: str) -> None:
    assert "token" in detectors(with_secrets(f"why is {SECRETS[name]}, refused?"))
    assert "token" not in detectors(f"why is {SECRETS[name][:9]}, refused?")


@given(st.text(string.digits, min_size=14, max_size=14), st.integers(1, 9))
def test_a_card_with_one_wrong_digit_is_none(middle: str, shift: int) -> None:
    body = "4" + middle
    right = body + luhn.calc_check_digit(body)
    wrong = right[:-1] + str((int(right[-1]) + shift) % 10)
    assert ("card" in detectors(f"{right}")) == (len(set(right)) > 1)
    assert "card" not in detectors(f"{wrong}")


@given(st.integers(0, 9), st.integers(4, 21))
def test_an_iban_with_one_wrong_digit_is_none(digit: int, place: int) -> None:
    right = "DE89370400440532013000"
    wrong = right[:place] + str(digit) + right[place + 1 :]
    assert ("iban" in detectors(f"pay {wrong} today")) == (wrong == right)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("Steuer-ID", "86095742719"),
        ("BSN", "111222333"),
        ("PESEL", "44051401359"),
        ("CPF", "39053344705"),
        ("aadhaar", "234123412346"),
        ("", "756.9217.0769.85"),
        ("", "RCCMNL83S18D969H"),
        ("", "12345678Z"),
        ("", "1 51 02 46 102 043 25"),
    ],
)
def test_a_national_number_with_a_wrong_check_digit_is_none(words: str, right: str) -> None:
    last = right[-1]
    wrong = right[:-1] + (
        chr(ord("A") + (ord(last) - ord("A") + 1) % 26) if last.isalpha() else str((int(last) + 1) % 10)
    )
    assert "nationalId" in detectors(f"{words} {right}")
    assert "nationalId" not in detectors(f"{words} {wrong}")
